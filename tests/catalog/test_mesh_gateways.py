"""The ways into a datacenter, and who hears of a change."""

from __future__ import annotations

from meshtest.gateways import World, mesh_gateway

from meshagent.catalog import commands as c
from meshagent.catalog.federation import OTHERS
from meshagent.catalog.mesh_gateways import mesh_gateways
from meshagent.catalog.model import ServiceEntry
from meshagent.catalog.watch import Topic


def nodes(found: tuple[tuple[ServiceEntry, ...], tuple[Topic, ...]]) -> list[str]:
    return [row.node.name for row in found[0]]


def test_own_ones_are_in_the_catalog_and_others_in_the_federation_states() -> None:
    world = World("api")
    for name in ("b", "a"):
        row = mesh_gateway(name, "dc1", "9.9.9.9")
        world.run(c.Register(row.node, row.service, row.checks))
    world.ways("dc2", "1.1.1.1")
    world.ways("dc3", "2.2.2.2")
    store = world.store
    assert nodes(mesh_gateways(store, "dc1", "dc1")) == ["a", "b"]
    assert nodes(mesh_gateways(store, "dc2", "dc1")) == ["dc2-0"]
    assert nodes(mesh_gateways(store, OTHERS, "dc1")) == ["dc2-0", "dc3-0"]
    assert nodes(mesh_gateways(store, "dc9", "dc1")) == []
    assert all(row.checks for row in mesh_gateways(store, "dc1", "dc1")[0])


def test_whoever_watches_hears_of_gateways_and_of_nothing_else() -> None:
    world = World()
    told: list[str] = []
    for name in ("dc1", "dc2", OTHERS):
        _, topics = mesh_gateways(world.store, name, "dc1")
        world.store.watches.subscribe(topics, lambda name=name: told.append(name))  # type: ignore[misc]
    world.service("api", "tcp")
    world.ways("dc3", "3.3.3.3")
    assert told == [OTHERS]
    row = mesh_gateway("a", "dc1", "9.9.9.9")
    world.run(c.Register(row.node, row.service, row.checks))
    world.ways("dc2", "1.1.1.1")
    assert told == [OTHERS, "dc1", "dc2"]
