"""A mesh gateway's snapshot: the services here, and the ways into other datacenters (surface rows M9, X18)."""

from __future__ import annotations

from meshtest.gateways import World

from meshagent.catalog.model import Proxy, ServiceAddress
from meshagent.catalog.peering import commands as p
from meshagent.catalog.peering.model import Peering, TrustBundle
from meshagent.connect.gateways.addresses import Bind
from meshagent.connect.gateways.ways import MeshGateway


def gateway_of(world: World, **fields: object) -> MeshGateway:
    found = world.build("mesh-gateway", "gw", **fields).gateway
    assert isinstance(found, MeshGateway)
    return found


def test_each_service_and_subset_has_a_name_and_instances() -> None:
    world = World("api", db="tcp")
    world.entry(
        Kind="service-resolver", Name="api", DefaultSubset="v1", ConnectTimeout="3s",
        Subsets={"v1": {"Filter": "Service.ID matches `^api`"}, "v2": {"Filter": "Service.Port == 1"}},
    )  # fmt: skip
    snapshot = world.build("mesh-gateway", "gw")
    names = [f"{one}.default.dc1.internal.td.consul" for one in ("api", "v1.api", "v2.api", "db")]
    gateway = gateway_of(world)
    assert list(gateway.routes) == names
    keys = {one.key: one for one in snapshot.outbound}
    assert set(gateway.routes.values()) == set(keys)
    ports = {name: [one.port for one in one.endpoints] for name, one in snapshot.clusters.items()}
    assert ports == {
        "api.default.default.dc1": [20001],
        "v1.api.default.default.dc1": [20001],
        "v2.api.default.default.dc1": [],
        "db.default.default.dc1": [20002],
    }
    assert snapshot.inbound is None


def test_other_datacenters_are_reached_at_their_wan_addresses_by_the_end_of_a_name() -> None:
    world = World("api")
    assert gateway_of(world).suffixes == {}
    changes = world.changes
    world.ways("dc2", "1.1.1.1", "2.2.2.2")
    world.ways("dc3", "3.3.3.3")
    assert world.changes > changes
    snapshot = world.build("mesh-gateway", "gw", proxy=_timeout(1500))
    gateway = gateway_of(world)
    assert sorted(gateway.suffixes) == [".dc2.internal.td.consul", ".dc3.internal.td.consul"]
    there = snapshot.clusters["dc2"]
    assert [(one.address, one.port) for one in there.endpoints] == [("1.1.1.1", 443), ("2.2.2.2", 443)]
    assert there.target.connect_timeout == "1500ms"
    assert gateway.upstream("api.default.dc2.internal.td.consul") == "sni:dc2.internal.td.consul"
    assert gateway.upstream("api.default.dc1.internal.td.consul") == "sni:api.default.dc1.internal.td.consul"
    assert gateway.upstream("api.default.dc4.internal.td.consul") == ""


def _timeout(milliseconds: int) -> object:
    return Proxy(config={"connect_timeout_ms": milliseconds})


def test_a_service_that_comes_or_goes_is_heard_of() -> None:
    world = World("api")
    assert len(gateway_of(world).routes) == 1
    changes = world.changes
    world.service("shop", "http")
    assert world.changes > changes
    assert len(gateway_of(world).routes) == 2


def test_it_binds_where_it_is_told_to() -> None:
    wan = {"wan": ServiceAddress(address="5.5.5.5", port=443)}
    config = Proxy(config={"envoy_gateway_bind_tagged_addresses": True})
    found = gateway_of(World(), tagged_addresses=wan, proxy=config, port=1)
    assert found.binds == (Bind("default", "127.0.0.1", 1), Bind("wan", "5.5.5.5", 443))
    assert found.shown()["binds"][1]["name"] == "wan"


def test_callers_of_peers_name_their_trust_domain() -> None:
    world = World("api", "hidden")
    consumers = [{"Peer": "east"}, {"Peer": "west"}]
    world.entry(Kind="exported-services", Name="default", Services=[{"Name": "api", "Consumers": consumers}])
    gateway = gateway_of(world)
    assert gateway.upstream("api.external.east-td.consul") == ""
    changes = world.changes
    world.run(p.PeeringSet(Peering(id="i", name="east")))
    world.run(p.TrustBundleSet(TrustBundle(peer="east", trust_domain="east-td.consul", roots=("pem",))))
    assert world.changes > changes
    gateway = gateway_of(world)
    assert gateway.upstream("api.external.east-td.consul") == "sni:api.default.dc1.internal.td.consul"
    assert gateway.upstream("hidden.external.east-td.consul") == ""
