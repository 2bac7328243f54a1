"""What the catalog tells beside instances of the mesh, and when it tells it anew."""

from __future__ import annotations

from meshtest.gateways import World

from meshagent.catalog.federation import OTHERS
from meshagent.connect.told import FromStore


def test_plain_instances_services_behind_a_gateway_and_mesh_gateways() -> None:
    world = World("api")
    told = FromStore(world.store, "dc1")
    world.outside("legacy", "10.2.0.1", 8080)
    world.entry(Kind="terminating-gateway", Name="out", Services=[{"Name": "legacy"}])
    world.ways("dc2", "1.1.1.1")
    rows, topics = told.plain("Legacy")
    assert ([row.service.port for row in rows], topics) == ([8080], (("service-health", "legacy"),))
    behind, topics = told.behind("out")
    assert [row.service.name for row in behind] == ["legacy"]
    assert ("config-entry", "terminating-gateway/out") in topics
    for name, nodes in (("dc1", []), ("dc2", ["dc2-0"]), (OTHERS, ["dc2-0"]), ("dc9", [])):
        found, topics = told.gateways(name)
        assert [row.node.name for row in found] == nodes
        assert topics
