"""Two datacenters over the WAN pool: requests for the other one are answered there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from meshtest.process import AgentProcess, free_ports
from meshtest.servers import client_of


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[AgentProcess, AgentProcess]]:
    near = AgentProcess.server({"node_name": "near"})
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
