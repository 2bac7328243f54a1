"""Where the instances of a target are: the mode of a mesh gateway decides for other datacenters (surface row M9)."""

from __future__ import annotations

import msgspec
import pytest
from meshtest.gateways import World, mesh_gateway

from meshagent.catalog import commands as c
from meshagent.catalog.model import MeshGateway, Proxy, Service, Upstream
from meshagent.connect.intentions import Default


def endpoints(world: World, upstream: str = "", proxy: str = "") -> list[tuple[str, int]]:
    service = Service(
        kind="connect-proxy", id="web-proxy", name="web-proxy", port=21000,
        proxy=Proxy(
            destination_service_name="web", mesh_gateway=MeshGateway(mode=proxy),
            upstreams=(
                Upstream(
                    destination_name="api", datacenter="dc2", local_bind_port=9191,
                    mesh_gateway=MeshGateway(mode=upstream),
                ),
            ),
        ),
    )  # fmt: skip
    snapshot = world.parts.build(service, Default(True))
    cluster = snapshot.clusters["api.default.default.dc2"]
    assert cluster.identities == ("spiffe://td.consul/ns/default/dc/dc2/svc/api",)
    return [(one.address, one.port) for one in cluster.endpoints]


@pytest.fixture
def world() -> World:
    made = World()
    own = mesh_gateway("here", "dc1", "9.9.9.9", lan="10.1.1.7")
    made.run(c.Register(own.node, own.service, own.checks))
    made.ways("dc2", "1.1.1.1", "2.2.2.2")
    return made


LOCAL, REMOTE = [("10.1.1.7", 8443)], [("1.1.1.1", 443), ("2.2.2.2", 443)]


@pytest.mark.parametrize(
    ("upstream", "proxy", "found"),
    [
        ("local", "", LOCAL),
        ("remote", "", REMOTE),
        ("", "local", LOCAL),
        ("remote", "local", REMOTE),
        ("none", "local", []),
        ("", "", []),
    ],
)
def test_the_first_mode_that_is_set_decides(
    world: World, upstream: str, proxy: str, found: list[tuple[str, int]]
) -> None:
    assert endpoints(world, upstream, proxy) == found


def test_defaults_count_where_nobody_else_says_one(world: World) -> None:
    world.entry(Kind="proxy-defaults", Name="global", MeshGateway={"Mode": "remote"})
    assert endpoints(world) == REMOTE
    world.entry(Kind="service-defaults", Name="api", MeshGateway={"Mode": "local"})
    assert endpoints(world) == LOCAL
    assert endpoints(world, "remote") == REMOTE


def test_gateways_that_come_go_or_fail_are_followed(world: World) -> None:
    assert endpoints(world, "local") == LOCAL
    changes = world.changes
    own = mesh_gateway("here", "dc1", "9.9.9.9", lan="10.1.1.7", status="critical")
    world.run(c.Register(own.node, own.service, own.checks))
    assert world.changes > changes
    assert endpoints(world, "local") == []
    assert endpoints(world, "remote") == REMOTE
    bad = mesh_gateway("dc2-0", "dc2", "1.1.1.1", status="critical")
    good = msgspec.structs.replace(mesh_gateway("dc2-1", "dc2", "2.2.2.2"))
    changes = world.changes
    world.run(c.FederationStateSet("dc2", "2024-01-01T00:00:00Z", (bad, good)))
    assert world.changes > changes
    assert endpoints(world, "remote") == REMOTE[1:]
