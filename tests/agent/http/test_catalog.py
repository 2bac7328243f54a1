from __future__ import annotations

import pytest
from meshtest.httpapi import Api, instance

from meshagent.catalog import commands
from meshagent.catalog.model import Connect, Coordinate, CoordinateRow, Node, Proxy, Service


async def test_ct3_datacenters(api: Api) -> None:
    assert (await api.get("/v1/catalog/datacenters")).json == ["dc1"]
    assert (await api.get("/v1/catalog/datacenters?cached")).headers["x-cache"] == "HIT"


async def test_ct4_nodes(api: Api) -> None:
    await api.write(commands.Register(Node(name="b", address="1.1.1.2", datacenter="dc1", meta={"rack": "r1"})))
    await api.write(commands.Register(Node(name="a", address="1.1.1.1", datacenter="dc1")))
    rows = (await api.get("/v1/catalog/nodes")).json
    assert [row["Node"] for row in rows] == ["a", "b"]
    assert rows[0] == {
        "ID": "", "Node": "a", "Address": "1.1.1.1", "Datacenter": "dc1", "TaggedAddresses": None, "Meta": None,
        "CreateIndex": api.agent.store.index, "ModifyIndex": api.agent.store.index,
    }  # fmt: skip
    assert [row["Node"] for row in (await api.get("/v1/catalog/nodes?node-meta=rack:r1")).json] == ["b"]
    assert [row["Node"] for row in (await api.get("/v1/catalog/nodes?filter=Meta.rack==r1")).json] == ["b"]


async def test_ct5_services(api: Api) -> None:
    await api.write(instance("a", "web", tags=("v1",)))
    await api.write(instance("b", "web", number=1, tags=("v2",)))
    await api.write(instance("b", "db", number=1))
    assert (await api.get("/v1/catalog/services")).json == {"db": [], "web": ["v1", "v2"]}
    filtered = await api.get("/v1/catalog/services?filter=ServiceTags%20contains%20v1")
    assert filtered.json == {"web": ["v1"]}


async def test_ct6_service(api: Api) -> None:
    await api.write(instance("a", "web", tags=("v1", "blue")))
    (row,) = (await api.get("/v1/catalog/service/web")).json
    assert list(row) == [
        "ID", "Node", "Address", "Datacenter", "TaggedAddresses", "NodeMeta", "ServiceKind", "ServiceID", "ServiceName",
        "ServiceTags", "ServiceAddress", "ServiceWeights", "ServiceMeta", "ServicePort", "ServiceSocketPath",
        "ServiceEnableTagOverride", "ServiceProxy", "ServiceConnect", "ServiceLocality", "CreateIndex", "ModifyIndex",
    ]  # fmt: skip
    assert row["ServiceMeta"] == {}
    assert row["NodeMeta"] is None
    assert row["ServiceProxy"] == {"Mode": "", "MeshGateway": {}, "Expose": {}}
    assert (await api.get("/v1/catalog/service/web?tag=blue&tag=V1")).json == [row]
    assert (await api.get("/v1/catalog/service/web?tag=blue&tag=v2")).json == []
    assert (await api.get("/v1/catalog/service/nope")).json == []


async def test_ct7_connect(api: Api) -> None:
    node = Node(name="a", address="1.1.1.1")
    proxy = Service(id="p", name="web-proxy", kind="connect-proxy", proxy=Proxy(destination_service_name="web"))
    await api.write(commands.Register(node, proxy))
    await api.write(commands.Register(node, Service(id="n", name="native", connect=Connect(native=True))))
    assert [row["ServiceID"] for row in (await api.get("/v1/catalog/connect/web")).json] == ["p"]
    assert [row["ServiceID"] for row in (await api.get("/v1/catalog/connect/native")).json] == ["n"]


async def test_ct8_ct9_node(api: Api) -> None:
    await api.write(commands.Register(Node(name="bare", address="1.1.1.1")))
    await api.write(instance("a", "web"))
    await api.write(instance("a", "db"))
    found = (await api.get("/v1/catalog/node/A")).json
    assert sorted(found["Services"]) == ["db0", "web0"]
    listed = (await api.get("/v1/catalog/node-services/a?filter=Service==db")).json
    assert [service["ID"] for service in listed["Services"]] == ["db0"]
    assert (await api.get("/v1/catalog/node/bare")).json["Services"] == {}
    assert (await api.get("/v1/catalog/node-services/bare")).json["Services"] is None
    assert (await api.get("/v1/catalog/node/nope")).json is None
    assert (await api.get("/v1/catalog/node-services/nope")).json == {"Node": None, "Services": None}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("service", "Missing service name"),
        ("connect", "Missing service name"),
        ("node", "Missing node name"),
        ("node-services", "Missing node name"),
        ("gateway-services", "Missing gateway name"),
    ],
)
async def test_names_are_required(api: Api, path: str, text: str) -> None:
    answer = await api.get(f"/v1/catalog/{path}/")
    assert (answer.status, answer.text) == (400, text)
    assert "x-consul-index" not in answer.headers


async def test_c22_near(api: Api) -> None:
    for name, place in (("a", 0.001), ("b", 0.05), ("c", 0.01)):
        await api.write(commands.Register(Node(name=name, address="127.0.0.1" if name == "c" else "1.1.1.1")))
        coord = Coordinate(vec=(place, *(0.0,) * 7))
        await api.write(commands.CoordinateBatch((CoordinateRow(node=name, coord=coord),)))
    await api.write(commands.Register(Node(name="n1", address="1.1.1.1")))  # this agent: no coordinate

    async def order(near: str) -> list[str]:
        return [row["Node"] for row in (await api.get(f"/v1/catalog/nodes?near={near}")).json]

    assert await order("a") == ["a", "c", "b", "n1"]
    assert await order("b") == ["b", "c", "a", "n1"]
    assert await order("_ip") == ["c", "a", "b", "n1"]
    assert await order("nobody") == ["a", "b", "c", "n1"]
    assert await order("_agent") == ["a", "b", "c", "n1"]


async def test_c22_near_follows_the_coordinates(api: Api) -> None:
    for name in "ab":
        await api.write(commands.Register(Node(name=name, address="1.1.1.1")))
    for first, second in (("a", "b"), ("b", "a")):
        for name, place in ((first, 0.0), (second, 0.5)):
            coord = Coordinate(vec=(place, *(0.0,) * 7))
            await api.write(commands.CoordinateBatch((CoordinateRow(node=name, coord=coord),)))
        await api.write(commands.Register(Node(name="o", address="1.1.1.1")))
        coord = Coordinate(vec=(-0.1, *(0.0,) * 7))
        await api.write(commands.CoordinateBatch((CoordinateRow(node="o", coord=coord),)))
        rows = (await api.get("/v1/catalog/nodes?near=o")).json
        assert [row["Node"] for row in rows] == ["o", first, second]


async def test_c21_a_bad_filter(api: Api) -> None:
    answer = await api.get("/v1/catalog/nodes?filter=Foo==bar")
    assert answer.status == 500
    assert answer.text == 'Failed to create boolean expression evaluator: Selector "Foo" is not valid'
    assert answer.headers["x-consul-knownleader"] == "false"


async def test_ct3_bad_parameters(api: Api) -> None:
    answer = await api.get("/v1/catalog/datacenters?stale&consistent")
    assert answer.status == 400
    assert answer.text == 'Cannot specify ?stale with ?consistent, conflicting semantics.["dc1"]'
