import msgspec
from meshtest.certificates import make_ca, make_leaf
from meshtest.envoyworld import chain_of
from meshtest.gateways import World

from meshagent.agent.acl.access import OPEN, Access
from meshagent.agent.acl.proxies_visible import seen_by
from meshagent.catalog.acl.authorizer import Authorizer
from meshagent.catalog.acl.rules import Rule
from meshagent.catalog.peering import commands as peering
from meshagent.catalog.peering.model import Peering, TrustBundle
from meshagent.connect.chain import Chain
from meshagent.connect.envoy.render import render
from meshagent.connect.envoy.resources import Resource
from meshagent.connect.gateways.linked import TerminatingGateway
from meshagent.connect.gateways.ways import MeshGateway
from meshagent.connect.query_upstreams import query_chain
from meshagent.connect.snapshot import Cluster, Endpoint, Outbound, ProxySnapshot
from meshagent.connect.transparent import Transparent

SNAPSHOT = ProxySnapshot(
    proxy_id="web-proxy", service="web", datacenter="dc1", trust_domain="x", default_allow=False, default_reason="",
    outbound=(Outbound(name="db", address="127.0.0.1", port=1),),
)  # fmt: skip


def test_what_a_transparent_proxy_may_reach_is_left_out_where_it_may_not_be_read() -> None:
    virtual = tuple(Outbound(name, "", 0, virtual_ips=("240.0.0.1",)) for name in ("db", "secret"))
    listed = Outbound("secret", "127.0.0.1", 2)
    found = msgspec.structs.replace(SNAPSHOT, outbound=(*virtual, listed), transparent=Transparent())
    rules = (Rule("service", "web", False, "write"), Rule("service", "db", False, "read"))
    shown = seen_by(Access(Authorizer(rules)), found)
    assert [(one.key, one.virtual_ips) for one in shown.outbound] == [
        ("virtual:db", ("240.0.0.1",)),
        ("127.0.0.1:2", ()),
    ]


def test_who_sees_everything_and_who_misses_nothing_get_the_same_object() -> None:
    assert seen_by(OPEN, SNAPSHOT) is SNAPSHOT
    assert seen_by(Access(Authorizer((Rule("service", "web", False, "write"),))), SNAPSHOT) is SNAPSHOT


def access(*names: str) -> Access:
    nodes = Rule("node", "n1", False, "read")
    return Access(Authorizer((nodes, *(Rule("service", name, False, "read") for name in names))))


def cluster(chain: Chain, *identities: str) -> Cluster:
    (target,) = chain.targets.values()
    good = (Endpoint("a", "n1", "10.0.0.1", 1), Endpoint("b", "n2", "10.0.0.2", 1))
    bad = (Endpoint("c", "n1", "10.0.0.3", 1, "critical"), Endpoint("d", "n2", "10.0.0.4", 1, "critical"))
    return Cluster(target, identities, good, bad)


def test_instances_that_are_not_dialled_are_hidden_as_those_that_are() -> None:
    held = cluster(chain_of("db"))
    found = msgspec.structs.replace(SNAPSHOT, clusters={held.target.id: held})
    (shown,) = seen_by(access("db"), found).clusters.values()
    assert ([one.id for one in shown.endpoints], [one.id for one in shown.unhealthy]) == (["a"], ["c"])
    (shown,) = seen_by(access(), found).clusters.values()
    assert shown.endpoints == shown.unhealthy == ()


def test_what_a_query_found_is_for_who_may_read_it() -> None:
    chain = query_chain("geo", "dc1", "tcp", "td", "5s")
    held = cluster(chain, "spiffe://td/ns/default/dc/dc1/svc/db")
    outbound = Outbound("geo", "127.0.0.1", 1, chain=chain, destination_type="prepared_query")
    found = msgspec.structs.replace(SNAPSHOT, outbound=(outbound,), clusters={held.target.id: held})
    allowed = seen_by(access("db"), found)
    assert allowed.outbound == (outbound,)
    assert [one.id for one in allowed.clusters[held.target.id].endpoints] == ["a"]
    denied = seen_by(access("geo"), found).clusters[held.target.id]
    assert (denied.endpoints, denied.unhealthy, denied.identities) == ((), (), ())


def gateway_snapshot() -> ProxySnapshot:
    world = World("api", "shop")
    chain, key = (one.decode() for one in make_leaf(make_ca(), "gw.example.com"))
    world.entry(Kind="inline-certificate", Name="c", Certificate=chain, PrivateKey=key)
    tls = {"Certificates": [{"Kind": "inline-certificate", "Name": "c"}]}
    listeners = [
        {"Name": "plain", "Port": 80, "Protocol": "http"},
        {"Name": "secure", "Port": 443, "Protocol": "http", "TLS": tls},
    ]
    world.entry(Kind="api-gateway", Name="gw", Listeners=listeners)
    for name in ("api", "shop"):
        world.entry(
            Kind="http-route", Name=name, Hostnames=[name], Parents=[{"Kind": "api-gateway", "Name": "gw"}],
            Rules=[{"Services": [{"Name": name}]}],
        )  # fmt: skip
    return world.build("api-gateway", "gw")


def test_a_gateway_is_shown_the_services_that_its_token_may_read() -> None:
    found = gateway_snapshot()
    services = (Rule("service", "gw", True, "write"), Rule("service", "api", True, "read"))
    rules = (*services, Rule("mesh", "", True, "read"))
    shown = seen_by(Access(Authorizer(rules)), found)
    readable = [bool(one.chain) for one in shown.outbound]
    assert sorted(readable) == [False, False, True, True]
    assert len(shown.gateway.listeners) == 2  # type: ignore[union-attr]


def test_private_keys_of_certificates_are_for_who_may_read_the_mesh() -> None:
    found = gateway_snapshot()
    rules = (Rule("service", "", False, "write"), Rule("node", "", False, "read"))
    shown = seen_by(Access(Authorizer(rules)), found)
    assert shown.gateway is not None
    assert [one.port for one in shown.gateway.listeners] == [80]
    assert "mesh:read" in shown.gateway.problems[0]
    mesh = seen_by(Access(Authorizer((*rules, Rule("mesh", "", True, "read")))), found)
    assert mesh is found


def test_the_leaf_of_a_service_outside_is_for_who_may_write_it() -> None:
    world = World()
    for name in ("legacy", "billing"):
        world.outside(name, "10.9.0.1", 80)
    world.entry(Kind="terminating-gateway", Name="out", Services=[{"Name": "legacy"}, {"Name": "billing"}])
    snapshot = world.build("terminating-gateway", "out")
    assert isinstance(snapshot.gateway, TerminatingGateway)
    rules = [Rule(kind, "", False, "read") for kind in ("node", "service")]
    shown = seen_by(Access(Authorizer((*rules, Rule("service", "legacy", False, "write")))), snapshot)
    assert isinstance(shown.gateway, TerminatingGateway)
    assert [one.service for one in shown.gateway.services] == ["legacy"]
    both = (*rules, Rule("service", "legacy", False, "write"), Rule("service", "billing", False, "write"))
    assert seen_by(Access(Authorizer(both)), snapshot) is snapshot


def test_the_ways_into_other_datacenters_have_no_service_that_could_be_hidden() -> None:
    world = World("api", "secret")
    world.ways("dc2", "1.1.1.1")
    snapshot = world.build("mesh-gateway", "gw")
    rules = (Rule("node", "", False, "read"), Rule("service", "api", False, "read"))
    shown = seen_by(Access(Authorizer(rules)), snapshot)
    ends = {name: len(one.endpoints) for name, one in shown.clusters.items()}
    assert ends == {"api.default.default.dc1": 1, "dc2": 1}
    assert [one.name for one in shown.outbound if one.chain is not None] == ["api", ""]


def test_a_mesh_gateway_does_not_tell_that_what_its_token_may_not_read_is_there() -> None:
    world = World("api", "secret")
    consumers = [{"Peer": "east"}]
    services = [{"Name": name, "Consumers": consumers} for name in ("api", "secret")]
    world.entry(Kind="exported-services", Name="default", Services=services)
    world.run(peering.PeeringSet(Peering(id="1", name="east")))
    world.run(peering.TrustBundleSet(TrustBundle(peer="east", trust_domain="east-td.consul", roots=("pem",))))
    snapshot = world.build("mesh-gateway", "gw")
    rules = (Rule("node", "", False, "read"), Rule("service", "api", False, "read"))
    shown = seen_by(Access(Authorizer(rules)), snapshot)
    assert b"secret" in msgspec.json.encode(snapshot)
    assert b"secret" not in msgspec.json.encode(shown)
    assert isinstance(shown.gateway, MeshGateway)
    assert set(shown.gateway.routes.values()) == {one.key for one in shown.outbound if one.name == "api"}
    assert any("api" in chain["filter_chain_match"].get("server_names", [""])[0] for chain in chains_of(shown))


def chains_of(snapshot: ProxySnapshot) -> list[Resource]:
    """Those of all listeners of its Envoy."""
    return [chain for one in render(snapshot).listeners.values() for chain in one["filter_chains"]]
