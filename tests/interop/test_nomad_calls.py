"""What a Nomad agent asks of the agent beside it: fingerprint, sync of its services and checks, workload identity.

Source: surface rows N1-N6; Nomad's public documentation of its Consul integration. The requests are those of the Go
client, in the order in which Nomad sends them.
"""

from __future__ import annotations

import json
import re
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from meshtest.clients import http_request
from meshtest.peers import wait_until
from meshtest.process import AgentProcess

ROOT_TOKEN = "6d1b9e0c-3ad9-4bd5-8a4c-5ad3b9d43b2f"
ACL = {
    "acl": {
        "enabled": True,
        "default_policy": "deny",
        "tokens": {"initial_management": ROOT_TOKEN, "agent": ROOT_TOKEN},
    }
}
TASK = "_nomad-task-5a2d-group-api-web-http"


class Caller:
    """One agent's API with a token."""

    def __init__(self, agent: AgentProcess, token: str = "") -> None:
        self.agent, self.token = agent, token

    def __call__(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        headers = {"X-Consul-Token": self.token} if self.token else {}
        answer = http_request(
            ("127.0.0.1", self.agent.ports["http"]), method, path,
            body=b"" if body is None else json.dumps(body).encode(), headers=headers,
        )  # fmt: skip
        assert answer.status == status, (path, answer.status, answer.body)
        return json.loads(answer.body) if answer.body.startswith((b"{", b"[", b'"')) else answer.body


def test_n1_the_fingerprint(agent: AgentProcess) -> None:
    told = Caller(agent)("GET", "/v1/agent/self")
    config, version = told["Config"], re.match(r"(\d+)\.(\d+)\.", told["Config"]["Version"])
    assert version is not None and (int(version[1]), int(version[2])) >= (1, 8)
    assert (config["Server"], config["Datacenter"], config["NodeName"]) == (True, "dc1", "n1")
    assert config["Revision"]
    debug = told["DebugConfig"]
    assert debug["ConnectEnabled"] is True
    assert debug["DNSPort"] == agent.ports["dns"]
    assert {"GRPCPort", "GRPCTLSPort", "DNSAddrs"} <= set(debug)
    assert "license" not in told["Stats"], "that would be Enterprise"
    assert "segment" in told["Member"]["Tags"]
    assert set(told["xDS"]["Ports"]) == {"Plaintext", "TLS"}


def test_n2_n3_the_sync_of_services_and_checks(agent: AgentProcess) -> None:
    call = Caller(agent)
    call("PUT", "/v1/agent/service/register?replace-existing-checks=true", {
        "ID": TASK, "Name": "web", "Tags": ["v1"], "Port": 23456, "Address": "127.0.0.1", "EnableTagOverride": False,
        "Meta": {"external-source": "nomad"}, "Checks": None, "Connect": None,
    })  # fmt: skip
    call("PUT", "/v1/agent/check/register", {
        "ID": "_nomad-check-77aa", "Name": "service: web check", "ServiceID": TASK, "TTL": "45s", "Status": "critical",
        "Notes": "",
    })  # fmt: skip
    call("PUT", "/v1/agent/service/register", {"ID": "other", "Name": "other"})
    call("PUT", "/v1/agent/check/update/_nomad-check-77aa", {"Status": "passing", "Output": "ok"})
    ours = call("GET", "/v1/agent/services?filter=Meta%5B%22external-source%22%5D+%3D%3D+%22nomad%22")
    assert list(ours) == [TASK]
    assert ours[TASK]["Port"] == 23456
    checks = call("GET", f"/v1/agent/checks?filter=ServiceID+%3D%3D+%22{TASK}%22")
    assert [(row["CheckID"], row["Status"], row["Output"]) for row in checks.values()] == [
        ("_nomad-check-77aa", "passing", "ok")
    ]
    call("PUT", "/v1/agent/check/deregister/_nomad-check-77aa")
    call("PUT", f"/v1/agent/service/deregister/{TASK}")
    assert set(call("GET", "/v1/agent/services")) == {"other"}


def test_n4_servers_find_each_other(agent: AgentProcess) -> None:
    call = Caller(agent)
    assert call("GET", "/v1/catalog/datacenters") == ["dc1"]
    for tag, port in (("http", 4646), ("rpc", 4647), ("serf", 4648)):
        body = {"ID": f"_nomad-server-{tag}", "Name": "nomad", "Tags": [tag], "Port": port}
        call("PUT", "/v1/agent/service/register", body)
    rows: list[Any] = []

    def registered() -> bool:
        rows[:] = call("GET", "/v1/catalog/service/nomad?stale=&tag=serf&near=_agent")
        return bool(rows)

    wait_until("the servers are in the catalog", registered)
    assert [(row["ServicePort"], row["Datacenter"]) for row in rows] == [(4648, "dc1")]


def test_n5_gateways_of_jobs(agent: AgentProcess) -> None:
    call = Caller(agent)
    call("PUT", "/v1/config", {"Kind": "ingress-gateway", "Name": "edge", "Listeners": [
        {"Port": 8080, "Protocol": "tcp", "Services": [{"Name": "web"}]}]})  # fmt: skip
    call("PUT", "/v1/config", {"Kind": "terminating-gateway", "Name": "out", "Services": [{"Name": "legacy"}]})
    assert call("GET", "/v1/config/ingress-gateway/edge")["Listeners"][0]["Port"] == 8080


def test_n6_workload_identities() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    public = (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )
    claims = ("consul_namespace", "nomad_namespace", "nomad_job_id", "nomad_task", "nomad_service")
    with AgentProcess.server(ACL) as agent:
        root = Caller(agent, ROOT_TOKEN)
        wait_until("the token of the operator is known", lambda: _known(agent))
        root("PUT", "/v1/acl/auth-method", {
            "Name": "nomad-workloads", "Type": "jwt", "MaxTokenTTL": "1h", "Config": {
                "JWTValidationPubKeys": [public], "JWTSupportedAlgs": ["ES256"], "BoundAudiences": ["consul.io"],
                "ClaimMappings": {claim: claim for claim in claims},
            },
        })  # fmt: skip
        root("PUT", "/v1/acl/binding-rule", {
            "AuthMethod": "nomad-workloads", "BindType": "service", "BindName": "${value.nomad_service}",
            "Selector": "\"nomad_service\" in value",
        })  # fmt: skip
        root("PUT", "/v1/acl/policy", {"Name": "tasks", "Rules": 'key_prefix "" { policy = "read" }'})
        root("PUT", "/v1/acl/role", {"Name": "nomad-default-tasks", "Policies": [{"Name": "tasks"}]})
        root("PUT", "/v1/acl/binding-rule", {
            "AuthMethod": "nomad-workloads", "BindType": "role", "BindName": "nomad-${value.nomad_namespace}-tasks",
            "Selector": "\"nomad_service\" not in value",
        })  # fmt: skip

        def login(**more: str) -> dict[str, Any]:
            now = int(time.time())
            payload = {
                "aud": "consul.io",
                "iat": now,
                "exp": now + 3600,
                "nomad_namespace": "default",
                "nomad_job_id": "web",
                **more,
            }
            bearer = jwt.encode(payload, key, algorithm="ES256")
            token: dict[str, Any] = Caller(agent)(
                "POST", "/v1/acl/login", {"AuthMethod": "nomad-workloads", "BearerToken": bearer}
            )
            return token

        service = login(nomad_service="web")
        assert [one["ServiceName"] for one in service["ServiceIdentities"]] == ["web"]
        of_service = Caller(agent, service["SecretID"])
        assert of_service("GET", "/v1/acl/token/self?stale=")["AccessorID"] == service["AccessorID"]
        of_service("PUT", "/v1/agent/service/register", {"ID": TASK, "Name": "web"})
        of_service("PUT", "/v1/agent/service/register", {"ID": "db", "Name": "db"}, status=403)

        task = login(nomad_task="app")
        assert [one["Name"] for one in task["Roles"]] == ["nomad-default-tasks"]
        of_task = Caller(agent, task["SecretID"])
        of_task("PUT", "/v1/kv/a", "b", status=403)
        of_task("GET", "/v1/kv/a", status=404)
        of_task("POST", "/v1/acl/logout")
        of_task("GET", "/v1/kv/a", status=403)


def _known(agent: AgentProcess) -> bool:
    answer = http_request(
        ("127.0.0.1", agent.ports["http"]), "GET", "/v1/acl/token/self", headers={"X-Consul-Token": ROOT_TOKEN}
    )
    return answer.status == 200
