"""Two datacenters over the WAN pool: requests for the other one are answered there."""

from __future__ import annotations

from collections.abc import Iterator

import dns.message
import dns.rcode
import pytest
from meshtest.process import AgentProcess, free_ports
from meshtest.servers import client_of


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[AgentProcess, AgentProcess]]:
    near = AgentProcess.server({"node_name": "near", "translate_wan_addrs": True})
    far = AgentProcess.server(
        {
            "node_name": "far",
            "datacenter": "dc2",
            "ports": {**(ports := free_ports()), "sidecar_min_port": 21_900, "sidecar_max_port": 21_999},
            "retry_join_wan": [f"127.0.0.1:{near.ports['serf_wan']}"],
            "retry_interval_wan": "1s",
        },
        ports=ports,
    )
    with near, far:
        near.wait("the other datacenter", lambda: near.get("/v1/catalog/datacenters") == ["dc1", "dc2"], within_s=60)
        for agent in (near, far):
            agent.wait("its node in the catalog", lambda agent=agent: agent.get("/v1/catalog/nodes"), within_s=60)
        yield near, far


def test_requests_go_to_the_datacenter_they_name(pair: tuple[AgentProcess, AgentProcess]) -> None:
    near, far = pair
    assert far.get("/v1/catalog/datacenters") == ["dc2", "dc1"]
    assert near.http("PUT", "/v1/kv/there?dc=dc2", body=b"x").body == b"true"
    assert near.http("GET", "/v1/kv/there").status == 404
    assert far.http("GET", "/v1/kv/there?raw").body == b"x"
    assert near.http("GET", "/v1/kv/there?raw&dc=dc2").body == b"x"
    assert [row["Node"] for row in near.get("/v1/catalog/nodes?dc=dc2")] == ["far"]
    assert [row["Node"] for row in near.get("/v1/catalog/nodes?dc=dc1")] == ["near"]
    answer = near.http("GET", "/v1/catalog/nodes?dc=dc2")
    assert int(answer.headers["x-consul-index"]) > 0
    assert near.get("/v1/status/leader?dc=dc2") == f"127.0.0.1:{far.ports['server']}"
    unknown = near.http("GET", "/v1/catalog/nodes?dc=dc9")
    assert (unknown.status, unknown.body) == (500, b"No path to datacenter")
    assert near.http("PUT", "/v1/kv/a?dc=dc9", body=b"x").body == b"No path to datacenter"


def test_a_client_asks_through_its_server(pair: tuple[AgentProcess, AgentProcess]) -> None:
    near, _ = pair
    with client_of([near]) as client:
        client.wait(
            "the other datacenter", lambda: client.get("/v1/catalog/datacenters") == ["dc1", "dc2"], within_s=60
        )
        assert [row["Node"] for row in client.get("/v1/catalog/nodes?dc=dc2")] == ["far"]
        assert client.http("GET", "/v1/catalog/nodes?dc=dc9").body == b"No path to datacenter"


def test_a_blocking_query_wakes_over_there(pair: tuple[AgentProcess, AgentProcess]) -> None:
    near, far = pair
    far.http("PUT", "/v1/kv/watched", body=b"1")
    index = near.http("GET", "/v1/kv/watched?dc=dc2").headers["x-consul-index"]
    assert near.http("GET", f"/v1/kv/watched?raw&dc=dc2&index={index}&wait=100ms").body == b"1"
    far.http("PUT", "/v1/kv/watched", body=b"2")
    assert near.http("GET", f"/v1/kv/watched?raw&dc=dc2&index={index}&wait=60s", timeout_s=60).body == b"2"


def looked_up(agent: AgentProcess, name: str, kind: str = "A") -> tuple[str, list[str]]:
    """Rcode, and what the answer's records say."""
    message = dns.message.from_wire(agent.dns(dns.message.make_query(name, kind).to_wire()))
    return dns.rcode.to_text(message.rcode()), sorted(text for one in message.answer for text in map(str, one))


@pytest.fixture(scope="module")
def with_web(pair: tuple[AgentProcess, AgentProcess]) -> tuple[AgentProcess, AgentProcess]:
    """`web` in dc2 has another address over the WAN; dc1 translates."""
    _, far = pair
    tagged = {"lan": {"Address": "192.0.2.1", "Port": 80}, "wan": {"Address": "192.0.2.7", "Port": 8080}}
    body = {"Name": "web", "Address": "192.0.2.1", "Port": 80, "Tags": ["v1"], "TaggedAddresses": tagged}
    assert far.put("/v1/agent/service/register", body).status == 200
    far.wait("the service", lambda: far.get("/v1/health/service/web"), within_s=60)
    return pair


def test_dns_answers_for_the_other_datacenter(with_web: tuple[AgentProcess, AgentProcess]) -> None:
    """D11, D21: from a server and from a client; what is unknown there, or nowhere, does not exist."""
    near, far = with_web
    with client_of([near], "c9") as client:
        for agent in (near, client):
            assert looked_up(agent, "far.node.dc2.consul") == ("NOERROR", ["127.0.0.1"])
            assert looked_up(agent, "none.service.dc2.consul") == ("NXDOMAIN", [])
            assert looked_up(agent, "web.service.dc9.consul") == ("NXDOMAIN", [])
            assert looked_up(agent, "v9.web.service.dc2.consul") == ("NXDOMAIN", [])
            assert looked_up(agent, "web.service.consul") == ("NXDOMAIN", [])
        assert looked_up(client, "web.service.dc2.consul") == ("NOERROR", ["192.0.2.1"])
    assert far.put("/v1/agent/service/maintenance/web?enable=true").status == 200
    near.wait(
        "what is held to grow old", lambda: looked_up(near, "web.service.dc2.consul")[0] == "NXDOMAIN", within_s=60
    )
    assert far.put("/v1/agent/service/maintenance/web?enable=false").status == 200
    near.wait("it to be back", lambda: looked_up(near, "web.service.dc2.consul")[0] == "NOERROR", within_s=60)


def test_addresses_of_the_other_datacenter_are_translated(with_web: tuple[AgentProcess, AgentProcess]) -> None:
    """C17, C30: `translate_wan_addrs` of the asking agent, in HTTP and DNS."""
    near, far = with_web
    (entry,) = near.get("/v1/health/service/web?dc=dc2")
    assert (entry["Service"]["Address"], entry["Service"]["Port"]) == ("192.0.2.7", 8080)
    (row,) = near.get("/v1/catalog/service/web?dc=dc2&pretty")
    assert (row["ServiceAddress"], row["ServicePort"]) == ("192.0.2.7", 8080)
    assert near.http("GET", "/v1/catalog/nodes?dc=dc2").headers["x-consul-translate-addresses"] == "true"
    (own,) = far.get("/v1/health/service/web")
    assert own["Service"]["Address"] == "192.0.2.1"
    assert looked_up(near, "web.service.dc2.consul") == ("NOERROR", ["192.0.2.7"])
    ((srv,),) = [looked_up(near, "_web._tcp.service.dc2.consul", "SRV")[1]]
    assert " 8080 " in srv and srv.endswith(".dc2.consul.")
    assert looked_up(far, "web.service.consul") == ("NOERROR", ["192.0.2.1"])
