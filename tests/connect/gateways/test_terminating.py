"""A terminating gateway's snapshot: services outside, each with its leaf and intentions (surface rows M28, X17)."""

from __future__ import annotations

from meshtest.gateways import World

from meshagent.catalog.model import Service
from meshagent.connect.gateways.linked import TerminatingGateway
from meshagent.connect.intentions import Default
from meshagent.connect.kinds import KINDS
from meshagent.connect.snapshot import ProxySnapshot

SERVICE = Service(kind="terminating-gateway", id="out", name="out", address="127.0.0.1", port=1)


def built(world: World) -> tuple[ProxySnapshot, TerminatingGateway]:
    def leaf(name: str) -> tuple[str, str, str, str]:
        return f"chain of {name}", f"key of {name}", "begin", "end"

    snapshot = world.parts.build(SERVICE, Default(False), leaf_of=leaf)
    assert isinstance(snapshot.gateway, TerminatingGateway)
    return snapshot, snapshot.gateway


def linked(world: World, *services: dict[str, object]) -> None:
    world.entry(Kind="terminating-gateway", Name="out", Services=list(services))


def test_a_service_has_its_leaf_its_intentions_and_its_instances() -> None:
    world = World()
    world.outside("legacy", "10.2.0.1", 8080)
    world.entry(Kind="service-defaults", Name="legacy", Protocol="http")
    world.entry(Kind="service-intentions", Name="legacy", Sources=[{"Name": "web", "Action": "allow"}])
    linked(world, {"Name": "legacy", "CAFile": "/ca", "SNI": "legacy.example.com", "DisableAutoHostRewrite": True})
    snapshot, gateway = built(world)
    (one,) = gateway.services
    assert (one.service, one.protocol, one.leaf_chain, one.leaf_key) == (
        "legacy", "http", "chain of legacy", "key of legacy",
    )  # fmt: skip
    assert [(it.source, it.action) for it in one.intentions] == [("web", "allow")]
    assert (one.ca_file, one.sni, one.rewrite_host) == ("/ca", "legacy.example.com", False)
    name = "legacy.default.dc1.internal.td.consul"
    assert one.upstreams == {name: f"sni:{name}"}
    assert [one.key for one in snapshot.outbound] == [f"sni:{name}"]
    assert [(it.address, it.port) for it in snapshot.clusters["legacy.default.default.dc1"].endpoints] == [
        ("10.2.0.1", 8080)
    ]
    assert snapshot.shown()["gateway"]["services"][0]["leaf_key"] == "hidden"
    assert "key of legacy" not in str(snapshot.shown())


def test_subsets_share_the_instances_and_a_change_is_heard_of() -> None:
    world = World()
    world.outside("legacy", "10.2.0.1", 8081, meta={"version": "v1"})
    world.outside("legacy", "10.2.0.2", 8082, meta={"version": "v2"})
    world.entry(
        Kind="service-resolver", Name="legacy", DefaultSubset="v1", RequestTimeout="3s",
        LoadBalancer={"Policy": "least_request"},
        Subsets={f"v{at}": {"Filter": f"Service.Meta.version == v{at}"} for at in (1, 2)},
    )  # fmt: skip
    linked(world, {"Name": "legacy"})
    snapshot, _ = built(world)
    assert {name: [one.port for one in row.endpoints] for name, row in snapshot.clusters.items()} == {
        "legacy.default.default.dc1": [8081],
        "v1.legacy.default.default.dc1": [8081],
        "v2.legacy.default.default.dc1": [8082],
    }
    chain = snapshot.outbound[0].chain
    assert chain is not None
    (node,) = chain.nodes.values()
    assert (getattr(node, "request_timeout_ns", 0), getattr(node, "load_balancer", None) is not None) == (
        3_000_000_000,
        True,
    )
    changes = world.changes
    world.outside("legacy", "10.2.0.3", 8083, meta={"version": "v2"})
    assert world.changes > changes
    assert len(built(world)[0].clusters["v2.legacy.default.default.dc1"].endpoints) == 2


def test_a_wildcard_speaks_for_what_has_no_sidecar() -> None:
    world = World("api")
    world.outside("legacy", "10.2.0.1", 8080)
    linked(world, {"Name": "*"})
    assert KINDS["terminating-gateway"].speaks_for(world.parts, "out") == ("legacy",)
    assert [one.service for one in built(world)[1].services] == ["legacy"]
    world.outside("other", "db.example.com", 5432)
    assert [one.service for one in built(world)[1].services] == ["legacy", "other"]


def test_a_destination_is_where_its_defaults_say() -> None:
    world = World()
    destination = {"Addresses": ["10.3.0.1", "api.example.com"], "Port": 443}
    world.entry(Kind="service-defaults", Name="far", Destination=destination)
    linked(world, {"Name": "far"})
    found = built(world)[0].clusters["far.default.default.dc1"].endpoints
    assert [(one.address, one.port) for one in found] == [("10.3.0.1", 443), ("api.example.com", 443)]


def test_without_an_entry_nobody_is_spoken_for() -> None:
    snapshot, gateway = built(World())
    assert (gateway.services, snapshot.outbound, len(gateway.binds)) == ((), (), 1)
