"""`/v1/operator/usage` (OP8)."""

from __future__ import annotations

from typing import Any

from meshtest.httpapi import Api, instance

from meshagent.catalog.commands import Register
from meshagent.catalog.model import Connect, Node, Service


async def usage(api: Api, query: str = "") -> tuple[Any, Any]:
    answer = await api.ask("GET", f"/v1/operator/usage{query}")
    assert answer.status == 200, answer.text
    return answer.json["Usage"]["dc1"], answer


async def test_it_counts_nodes_services_and_instances(api: Api) -> None:
    write = api.agent.write
    node = Node(name="n1", address="10.0.0.1")
    await write(Register(node, Service(id="consul", name="consul", port=8300)))
    await write(instance("n1", "web", number=0))
    await write(instance("n2", "web", number=1))
    await write(Register(node, Service(id="db", name="db", connect=Connect(native=True))))
    await write(Register(node, Service(id="p", kind="connect-proxy", name="web-sidecar-proxy")))
    found, answer = await usage(api)
    assert found == {
        "Nodes": 2,
        "Services": 4,
        "ServiceInstances": 5,
        "ConnectServiceInstances": {
            "api-gateway": 0, "connect-native": 1, "connect-proxy": 1, "ingress-gateway": 0, "mesh-gateway": 0,
            "terminating-gateway": 0,
        },
        "BillableServiceInstances": 3,
    }  # fmt: skip
    assert answer.headers["x-consul-effective-consistency"] == "leader"
    assert answer.json["Index"] == answer.index
    assert answer.json["ConsistencyLevel"] == "leader"
    assert answer.json["KnownLeader"] is True


async def test_it_says_how_it_was_read(api: Api) -> None:
    for mode in ("stale", "consistent"):
        _, answer = await usage(api, f"?{mode}")
        assert answer.json["ConsistencyLevel"] == mode
        assert answer.headers["x-consul-effective-consistency"] == mode


async def test_it_blocks(api: Api) -> None:
    await api.agent.write(instance("n1", "web"))
    _, answer = await usage(api)
    await api.agent.write(instance("n2", "web", number=1))
    found, later = await usage(api, f"?index={answer.index}&wait=10s")
    assert found["ServiceInstances"] == 2
    assert later.index > answer.index
