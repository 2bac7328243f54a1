"""Client agents as real processes beside a real server, which they find by gossip."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import dns.message
import pytest
from meshtest.clients import http_request
from meshtest.process import AgentProcess
from meshtest.servers import Servers, client_of


@pytest.fixture(scope="module")
def server() -> Iterator[AgentProcess]:
    with AgentProcess.server() as running:
        yield running


@pytest.fixture(scope="module")
def client(server: AgentProcess) -> Iterator[AgentProcess]:
    with client_of([server], "c1") as running:
        yield running


@pytest.fixture(scope="module")
def other(server: AgentProcess) -> Iterator[AgentProcess]:
    with client_of([server], "c2") as running:
        yield running


def resolve(agent: AgentProcess, name: str, kind: str = "A") -> tuple[int, list[str]]:
    reply = agent.dns(dns.message.make_query(name, kind).to_wire())
    assert reply is not None
    message = dns.message.from_wire(reply)
    return message.rcode(), [str(row) for rrset in message.answer for row in rrset]


def test_a_registration_reaches_the_catalog_and_the_dns_of_others(
    server: AgentProcess, client: AgentProcess, other: AgentProcess
) -> None:
    assert resolve(other, "web.service.consul")[0] == 3
    client.put("/v1/agent/service/register", {"Name": "web", "Port": 80, "Address": "10.1.1.1", "Tags": ["v1"]})
    rows = server.wait("the registration", lambda: server.get("/v1/health/service/web"))
    assert [row["Node"]["Node"] for row in rows] == ["c1"]
    assert [(check["CheckID"], check["Status"]) for check in rows[0]["Checks"]] == [("serfHealth", "passing")]
    server.wait("DNS elsewhere", lambda: resolve(other, "web.service.consul") == (0, ["10.1.1.1"]))
    assert resolve(other, "v1.web.service.consul", "SRV")[1] == ["1 1 80 0a010101.addr.dc1.consul."]
    assert resolve(other, "c1.node.consul") == (0, ["127.0.0.1"])
    client.put("/v1/agent/service/deregister/web")
    server.wait("the end of it", lambda: resolve(other, "web.service.consul") == (3, []))


def test_the_node_belongs_to_its_agent(server: AgentProcess, client: AgentProcess) -> None:
    own = client.get("/v1/agent/self")
    assert own["Config"]["Server"] is False
    server.wait("the node", lambda: server.get("/v1/catalog/node/c1"))
    row = server.get("/v1/catalog/node/c1")["Node"]
    assert row["ID"] == own["Config"]["NodeID"]
    assert row["Meta"] == {"consul-network-segment": "", "consul-version": "1.20.1"}


def test_keys_sessions_and_transactions(server: AgentProcess, client: AgentProcess) -> None:
    server.wait("the node", lambda: server.get("/v1/catalog/node/c1"))
    session = json.loads(client.put("/v1/session/create", {"NodeChecks": [], "TTL": "30s"}).body)["ID"]
    assert client.put(f"/v1/kv/lock?acquire={session}").body == b"true"
    assert client.get(f"/v1/session/info/{session}")[0]["Node"] == "c1"
    assert client.put(f"/v1/session/renew/{session}").status == 200
    ops = [{"KV": {"Verb": "set", "Key": "t", "Value": "eA=="}}, {"KV": {"Verb": "get", "Key": "lock"}}]
    results = json.loads(client.put("/v1/txn", ops).body)["Results"]
    assert results[1]["KV"]["Session"] == session
    assert client.http("GET", "/v1/kv/t?raw").body == b"x"
    assert client.put(f"/v1/session/destroy/{session}").body == b"true"
    assert "Session" not in server.get("/v1/kv/lock")[0]


def test_other_endpoints(server: AgentProcess, client: AgentProcess) -> None:
    entry = {"Kind": "service-defaults", "Name": "web", "Protocol": "http"}
    assert client.put("/v1/config", entry).body == b"true"
    assert client.get("/v1/config/service-defaults/web")["Protocol"] == "http"
    query = json.loads(client.http("POST", "/v1/query", json={"Name": "q", "Service": {"Service": "consul"}}).body)
    assert client.get("/v1/query/q/execute")["Nodes"][0]["Node"]["Node"] == "n1"
    assert resolve(client, "q.query.consul") == (0, ["127.0.0.1"])
    assert client.http("DELETE", f"/v1/query/{query['ID']}").status == 200
    assert client.get("/v1/status/leader") == server.get("/v1/status/leader")
    assert client.get("/v1/operator/raft/configuration") == server.get("/v1/operator/raft/configuration")
    assert client.get("/v1/catalog/datacenters") == ["dc1"]
    assert client.http("GET", "/v1/agent/metrics").status == 200


def test_the_mesh(server: AgentProcess, client: AgentProcess) -> None:
    server.wait("the authority", lambda: server.get("/v1/connect/ca/roots")["Roots"])
    leaf = client.get("/v1/agent/connect/ca/leaf/web")
    assert leaf["PrivateKeyPEM"].startswith("-----BEGIN")
    assert leaf["ServiceURI"].endswith("/ns/default/dc/dc1/svc/web")
    roots = client.get("/v1/agent/connect/ca/roots")
    assert roots == server.get("/v1/agent/connect/ca/roots")
    assert client.get("/v1/agent/connect/ca/leaf/web")["SerialNumber"] == leaf["SerialNumber"]
    pem = client.http("GET", "/v1/connect/ca/roots?pem=true")
    assert pem.body == server.http("GET", "/v1/connect/ca/roots?pem=true").body
    asked = {"Target": "db", "ClientCertURI": leaf["ServiceURI"], "ClientCertSerial": leaf["SerialNumber"]}
    answer = client.http("POST", "/v1/agent/connect/authorize", json=asked)
    assert json.loads(answer.body)["Authorized"] is True


def test_a_blocking_query(server: AgentProcess, client: AgentProcess) -> None:
    import threading

    first = client.http("GET", "/v1/kv/blocked?index=1&wait=10ms")
    index = first.headers["x-consul-index"]
    found: list[bytes] = []

    def ask() -> None:
        answer = http_request(
            ("127.0.0.1", client.ports["http"]), "GET", f"/v1/kv/blocked?raw&index={index}&wait=20s", timeout_s=30
        )
        found.append(answer.body)

    asking = threading.Thread(target=ask)
    asking.start()
    server.put("/v1/kv/blocked", 1)
    asking.join(20)
    assert found == [b"1"]


def client_name(client: AgentProcess) -> str:
    """Its node name."""
    name: str = client.get("/v1/agent/self")["Config"]["NodeName"]
    return name


def test_it_starts_before_its_servers_and_outlives_them() -> None:
    server = AgentProcess.server()
    client = client_of([server])
    client.start(ready=False)
    with client, server:
        pass_on = client.wait
        pass_on("its API", lambda: client.get("/v1/agent/self"))
        client.put("/v1/agent/service/register", {"Name": "web", "Port": 80})
        pass_on("the registration", lambda: client.get("/v1/health/service/web?cached"))
        pass_on("DNS", lambda: resolve(client, "web.service.consul") == (0, ["127.0.0.1"]))
        remembered = server.directory / "data" / "serf" / "local.snapshot"  # by this it comes back to the client
        pass_on("the server to remember the client", lambda: f"alive: {client_name(client)} " in remembered.read_text())
        server.kill()
        assert resolve(client, "web.service.consul") == (0, ["127.0.0.1"])
        pass_on(
            "an aged answer",
            lambda: client.http("GET", "/v1/health/service/web?stale").headers.get("x-consul-knownleader") == "false",
        )
        answer = client.http("GET", "/v1/health/service/web", timeout_s=60)
        assert (answer.status, len(json.loads(answer.body))) == (200, 1)
        assert answer.headers["x-consul-effective-consistency"] == "stale"
        assert int(answer.headers["age"]) >= 0
        assert client.http("GET", "/v1/agent/services").status == 200
        client.put("/v1/agent/service/register", {"Name": "db", "Port": 90})
        server.start()
        pass_on("what was registered meanwhile", lambda: server.get("/v1/health/service/db"), within_s=60.0)
        fresh = client.http("GET", "/v1/health/service/web", timeout_s=60)
        assert fresh.headers["x-consul-effective-consistency"] == "leader"


def test_three_servers_are_killed_one_after_the_other_and_no_answer_is_lost() -> None:
    """Names that are followed, and names nobody asked for before: no SERVFAIL, no error over HTTP."""
    with Servers(3) as servers:
        clients = [client_of(servers.all, f"c{number}") for number in range(2)]
        try:
            for client in clients:
                client.start(ready=False)
            for client in clients:
                client.wait_ready()
            clients[0].put("/v1/agent/service/register", {"Name": "web", "Port": 80})
            for client in clients:
                client.wait("DNS", lambda client=client: resolve(client, "web.service.consul") == (0, ["127.0.0.1"]))
            asked = 0
            for victim in servers.all:
                victim.kill()
                until = time.monotonic() + 4.0
                while time.monotonic() < until:
                    for client in clients:
                        asked += 1
                        assert resolve(client, "web.service.consul") == (0, ["127.0.0.1"])
                        assert resolve(client, f"cold{asked}.service.consul") == (3, [])
                        assert client.http("GET", "/v1/health/service/web?stale", timeout_s=60).status == 200
                victim.start(ready=False)
                for client in clients:
                    client.put("/v1/kv/after", 1, timeout_s=30)  # waits for a leader
                victim.wait_ready(30)
            assert asked > 50
        finally:
            for client in clients:
                client.stop()


def test_without_allow_stale_dns_is_as_new_as_the_leader(server: AgentProcess) -> None:
    with client_of([server], "c3", dns_config={"allow_stale": False}) as client:
        for number in range(1, 21):
            address = f"10.77.0.{number}"
            service = {"Service": "strict", "ID": "strict", "Address": address}
            server.put("/v1/catalog/register", {"Node": "far", "Address": "10.0.0.1", "Service": service})
            assert resolve(client, "strict.service.consul") == (0, [address])
