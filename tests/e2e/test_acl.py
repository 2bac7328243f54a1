"""ACLs with real processes: a server and a client agent, tokens at both, DNS, restarts, a server that is gone."""

from __future__ import annotations

import json
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dns.message
import pytest
from meshtest.process import AgentProcess
from meshtest.servers import client_of

MANAGER = "deadbeef-0000-4000-8000-0000000000aa"
RECOVERY = "deadbeef-0000-4000-8000-0000000000bb"
NODE_TOKEN = "deadbeef-0000-4000-8000-0000000000cc"
SECRETS = [MANAGER, RECOVERY, NODE_TOKEN]


def token(secret: str) -> dict[str, str]:
    return {"X-Consul-Token": secret}


def made(server: AgentProcess, rules: str = "", **body: Any) -> dict[str, Any]:
    """A new token with these rules."""
    if rules:
        name = f"p{abs(hash(rules)) % 10**9}"
        server.http("PUT", "/v1/acl/policy", json={"Name": name, "Rules": rules}, headers=token(MANAGER))
        body = {"Policies": [{"Name": name}], **body}
    row: dict[str, Any] = json.loads(server.put("/v1/acl/token", body, headers=token(MANAGER)).body)
    SECRETS.append(row["SecretID"])
    return row


def config(directory: Path, **tokens: str) -> dict[str, Any]:
    return {
        "log_level": "DEBUG",
        "acl": {
            "enabled": True,
            "default_policy": "deny",
            "token_ttl": "1s",
            "enable_token_persistence": True,
            "tokens": {"agent_recovery": RECOVERY, **tokens},
            "audit": {"path": str(directory / "audit.json")},
        },
    }


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    directory = tmp_path_factory.mktemp("server")
    with AgentProcess.server(config(directory, initial_management=MANAGER, agent=MANAGER)) as running:
        running.wait("the first token", lambda: running.get("/v1/acl/tokens", headers=token(MANAGER)))
        identity = {"NodeIdentities": [{"NodeName": "c1", "Datacenter": "dc1"}], "SecretID": NODE_TOKEN}
        running.put("/v1/acl/token", identity, headers=token(MANAGER))
        running.audit = directory  # type: ignore[attr-defined]
        yield running


@pytest.fixture(scope="module")
def client(server: AgentProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    directory = tmp_path_factory.mktemp("client")
    extra = config(directory, agent=NODE_TOKEN)
    with client_of([server], "c1", **extra) as running:
        running.audit = directory  # type: ignore[attr-defined]
        yield running


def names(agent: AgentProcess, name: str) -> list[str]:
    reply = agent.dns(dns.message.make_query(name, "A").to_wire())
    assert reply is not None
    return [str(row) for rrset in dns.message.from_wire(reply).answer for row in rrset]


def test_a_service_is_registered_with_its_token(server: AgentProcess, client: AgentProcess) -> None:
    own = made(server, ServiceIdentities=[{"ServiceName": "web"}])["SecretID"]
    body = {"Name": "web", "Port": 80, "Address": "10.9.9.9"}
    assert client.http("PUT", "/v1/agent/service/register", json=body).status == 403
    other = made(server, ServiceIdentities=[{"ServiceName": "other"}])["SecretID"]
    assert client.http("PUT", "/v1/agent/service/register", json=body, headers=token(other)).status == 403
    client.put("/v1/agent/service/register", body, headers=token(own))
    found = server.wait("web", lambda: server.get("/v1/health/service/web", headers=token(MANAGER)))
    assert found[0]["Node"]["Node"] == "c1"
    assert client.get("/v1/agent/services") == {}
    assert list(client.get("/v1/agent/services", headers=token(own))) == ["web"]


def test_a_leaf_through_a_client_is_for_who_may_write_the_service(server: AgentProcess, client: AgentProcess) -> None:
    own = made(server, ServiceIdentities=[{"ServiceName": "meshed"}])["SecretID"]
    path = "/v1/agent/connect/ca/leaf/meshed"
    leaf = client.wait("a leaf", lambda: client.get(path, headers=token(own)))
    assert leaf["Service"] == "meshed"
    assert client.http("GET", path).status == 403
    sidecar = {"Name": "meshed2", "Port": 80, "Connect": {"SidecarService": {}}}
    other = made(server, ServiceIdentities=[{"ServiceName": "meshed2"}])["SecretID"]
    client.put("/v1/agent/service/register", sidecar, headers=token(other))
    shown = "/v1/agent/connect/proxy/meshed2-sidecar-proxy"

    def snapshot() -> Any:
        found = client.get(shown, headers=token(other))
        return found if found["leaf_chain"] else None

    assert client.wait("its leaf", snapshot)["leaf_chain"].startswith("-----BEGIN CERTIFICATE")


def test_what_is_followed_by_a_client_is_judged_by_the_server(server: AgentProcess, client: AgentProcess) -> None:
    server.wait("web", lambda: server.get("/v1/health/service/web", headers=token(MANAGER)))
    blind = made(server, 'key "x" { policy = "read" }')
    for _ in range(4):  # forwarded, followed, remembered
        answer = client.http("GET", "/v1/health/service/web", headers=token(blind["SecretID"]))
        assert (answer.status, answer.body) == (200, b"[]")
        assert answer.headers["x-consul-results-filtered-by-acls"] == "true"
    for _ in range(4):
        answer = client.http("GET", "/v1/health/service/web")
        assert (answer.status, answer.body) == (200, b"[]")
    sees = made(server, 'service_prefix "" { policy = "read" } node_prefix "" { policy = "read" }')["Policies"]
    update = {"Policies": sees}
    server.put(f"/v1/acl/token/{blind['AccessorID']}", update, headers=token(MANAGER))
    read = lambda: client.get("/v1/health/service/web", headers=token(blind["SecretID"]))  # noqa: E731
    client.wait("its new rights", read)
    assert client.http("GET", "/v1/health/service/web").body == b"[]"
    server.http("DELETE", f"/v1/acl/token/{blind['AccessorID']}", headers=token(MANAGER))
    gone = lambda: client.http("GET", "/v1/health/service/web", headers=token(blind["SecretID"])).status == 403  # noqa: E731
    client.wait("its end", gone)


def test_a_blocked_query_ends_when_its_token_does(server: AgentProcess, client: AgentProcess) -> None:
    row = made(server, 'service_prefix "" { policy = "read" } node_prefix "" { policy = "read" }')
    secret = row["SecretID"]
    for agent in (server, client):
        first = agent.http("GET", "/v1/health/service/none", headers=token(secret))
        index = first.headers["x-consul-index"]
        found: list[int] = []

        def wait(agent: AgentProcess = agent, index: str = index, found: list[int] = found) -> None:
            path = f"/v1/health/service/none?index={index}&wait=3s"
            found.append(agent.http("GET", path, headers=token(secret), timeout_s=60.0).status)

        thread = threading.Thread(target=wait)
        thread.start()
        if agent is client:
            server.http("DELETE", f"/v1/acl/token/{row['AccessorID']}", headers=token(MANAGER))
        thread.join(60)
        assert found == [200 if agent is server else 403]


def test_keys_through_a_client(server: AgentProcess, client: AgentProcess) -> None:
    secret = made(server, 'key_prefix "app/" { policy = "write" }')["SecretID"]
    assert client.http("PUT", "/v1/kv/app/a", body=b"1", headers=token(secret)).body == b"true"
    refused = client.http("PUT", "/v1/kv/other", body=b"1", headers=token(secret))
    assert refused.status == 403
    assert b"lacks permission 'key:write' on \"other\"" in refused.body
    assert client.http("GET", "/v1/kv/app/a?raw", headers=token(secret)).body == b"1"
    assert client.http("GET", "/v1/kv/app/a?raw").status == 403
    assert client.http("GET", f"/v1/kv/app/a?raw&token={secret}").body == b"1"
    assert client.http("GET", "/v1/kv/app/a?raw", headers={"Authorization": f"Bearer {secret}"}).body == b"1"


def test_dns_of_a_client_has_its_own_token(server: AgentProcess, client: AgentProcess) -> None:
    server.wait("web", lambda: server.get("/v1/health/service/web", headers=token(MANAGER)))
    assert names(client, "web.service.consul") == []
    assert names(server, "web.service.consul") == []
    secret = made(server, TemplatedPolicies=[{"TemplateName": "builtin/dns"}])["SecretID"]
    for agent in (client, server):
        by = RECOVERY if agent is client else MANAGER
        agent.put("/v1/agent/token/dns", {"Token": secret}, headers=token(by))
        agent.wait("the name", lambda agent=agent: names(agent, "web.service.consul") == ["10.9.9.9"])
        agent.put("/v1/agent/token/dns", {"Token": ""}, headers=token(by))
        agent.wait("no name", lambda agent=agent: names(agent, "web.service.consul") == [])


def test_tokens_of_the_agent_are_kept_privately(server: AgentProcess, client: AgentProcess) -> None:
    secret = made(server, 'key "k" { policy = "write" }')["SecretID"]
    assert client.http("PUT", "/v1/kv/k", body=b"1").status == 403
    client.put("/v1/agent/token/default", {"Token": secret}, headers=token(RECOVERY))
    client.wait("the default", lambda: client.http("PUT", "/v1/kv/k", body=b"1").status == 200)
    kept = client.directory / "data" / "acl-tokens.json"
    assert stat.S_IMODE(os.stat(kept).st_mode) == 0o600
    client.stop()
    client.start(ready=False)
    client.wait("the default again", lambda: client.http("PUT", "/v1/kv/k", body=b"1").status == 200)
    client.put("/v1/agent/token/default", {"Token": ""}, headers=token(RECOVERY))


def test_while_no_server_is_there_what_is_known_goes_on(server: AgentProcess, client: AgentProcess) -> None:
    secret = made(server, 'agent "c1" { policy = "read" }')["SecretID"]
    client.wait("the token", lambda: client.http("GET", "/v1/agent/self", headers=token(secret)).status == 200)
    unknown = made(server, 'agent "c1" { policy = "read" }', Description="never used")["SecretID"]
    server.kill()
    try:
        for held, status in ((secret, 200), (unknown, 403), (RECOVERY, 200)):
            assert client.http("GET", "/v1/agent/self", headers=token(held), timeout_s=60.0).status == status
        body = {"Name": "x"}
        refused = client.http("PUT", "/v1/agent/service/register", json=body, headers=token(RECOVERY))
        assert refused.status == 403
    finally:
        server.start()
    server.wait("its tokens", lambda: server.get("/v1/acl/token/self", headers=token(secret)))


def test_every_write_and_denial_is_in_the_audit_log_and_no_secret_anywhere(
    server: AgentProcess, client: AgentProcess
) -> None:
    write = lambda: server.http("PUT", "/v1/kv/audited", body=b"hush", headers=token(MANAGER)).status == 200  # noqa: E731
    server.wait("a leader", write)
    denied = f"/v1/kv/audited?consistent&token={NODE_TOKEN}"  # always a server's to answer
    followed = f"/v1/kv/audited?token={NODE_TOKEN}"  # asked again and again, the client's

    def rows(agent: AgentProcess) -> list[dict[str, Any]]:
        folder: Path = agent.audit  # type: ignore[attr-defined]
        lines = [line for path in sorted(folder.glob("audit-*.json")) for line in path.read_text().splitlines()]
        return [json.loads(line) for line in lines]

    def found(agent: AgentProcess) -> set[tuple[Any, ...]]:
        return {(row["Method"], row["Path"], row["Status"], row["Agent"]) for row in rows(agent)}

    def seen() -> bool:
        # Until the client has found its server again no server hears of it.
        for path in (denied, followed, followed):
            if client.http("GET", path, timeout_s=60.0).status != 403:
                return False
        there = {("PUT", "/v1/kv/audited", 200, ""), ("GET", "/v1/kv/audited?consistent&token=<hidden>", 403, "c1")}
        return there <= found(server) and ("GET", "/v1/kv/audited?token=<hidden>", 403, "") in found(client)

    server.wait("both lines", seen)
    folders: list[Path] = [server.audit, client.audit]  # type: ignore[attr-defined]
    written = "".join(path.read_text() for folder in folders for path in folder.glob("audit-*.json"))
    for text in (written, server.log(), client.log()):
        for secret in SECRETS:
            assert secret not in text
        assert "hush" not in written
