"""An ingress-gateway entry as listeners and upstreams."""

from __future__ import annotations

from meshtest.gateways import World

from meshagent.catalog.model import Proxy, ServiceAddress
from meshagent.connect.gateways.edge import Edge, EdgeTLS, VirtualHost

LISTENERS = [
    {"Port": 27401, "Protocol": "tcp", "Services": [{"Name": "db"}]},
    {
        "Port": 27402,
        "Protocol": "http",
        "Services": [
            {
                "Name": "api",
                "Hosts": ["api.example.com", "*.api.example.com"],
                "RequestHeaders": {"Set": {"x-edge": "1"}},
                "MaxConnections": 5,
            },
            {"Name": "shop"},
        ],
    },
]


def edge_of(world: World) -> Edge:
    gateway = world.build("ingress-gateway", "edge").gateway
    assert isinstance(gateway, Edge)
    return gateway


def test_listeners_lead_to_upstreams_with_their_chains_and_limits() -> None:
    world = World("api", "shop", db="tcp")
    world.entry(
        Kind="ingress-gateway", Name="edge", TLS={"Enabled": True, "TLSMinVersion": "TLSv1_2"}, Listeners=LISTENERS,
        Defaults={"MaxConnections": 100, "PassiveHealthCheck": {"Interval": "9s", "MaxFailures": 4}},
    )  # fmt: skip
    snapshot = world.build("ingress-gateway", "edge")
    edge = edge_of(world)
    tcp, http = edge.listeners
    assert (tcp.port, tcp.upstream, tcp.is_http) == (27401, "gateway:27401:db", False)
    assert http.tls == EdgeTLS(min_version="TLSv1_2")
    assert [(one.name, one.domains, one.upstream) for one in http.hosts] == [
        ("api", ("api.example.com", "*.api.example.com"), "gateway:27402:api"),
        ("shop", ("shop.ingress.*",), "gateway:27402:shop"),
    ]
    by_key = {one.key: one for one in snapshot.outbound}
    limits = {key: one.resilience.limits.max_connections for key, one in by_key.items()}
    assert limits == {"gateway:27401:db": 100, "gateway:27402:api": 5, "gateway:27402:shop": 100}
    assert by_key["gateway:27402:shop"].resilience.ejection.consecutive_5xx == 4
    assert not any(one.listens for one in snapshot.outbound)
    assert sorted(snapshot.clusters) == [f"{name}.default.default.dc1" for name in ("api", "db", "shop")]
    assert [one.port for one in snapshot.clusters["api.default.default.dc1"].endpoints] == [20001]
    assert snapshot.inbound is None


def test_it_follows_its_entry() -> None:
    world = World("api", "shop")
    assert edge_of(world).listeners == ()
    changes = world.changes
    world.entry(Kind="ingress-gateway", Name="edge", Listeners=LISTENERS[1:])
    assert world.changes > changes
    assert [one.port for one in edge_of(world).listeners] == [27402]


def test_a_wildcard_stands_for_the_services_of_the_protocol() -> None:
    world = World("api", "shop", db="tcp")
    services = [{"Name": "api", "Hosts": ["a.example.com"]}, {"Name": "*"}]
    world.entry(Kind="ingress-gateway", Name="edge", Listeners=[{"Port": 80, "Protocol": "http", "Services": services}])
    assert [one.name for one in edge_of(world).listeners[0].hosts] == ["api", "shop"]
    world.service("web", "http")
    assert [one.name for one in edge_of(world).listeners[0].hosts] == ["api", "shop", "web"]


def test_what_cannot_be_served_is_said() -> None:
    world = World(db="tcp")
    world.entry(
        Kind="ingress-gateway", Name="edge",
        Listeners=[{"Port": 80, "Protocol": "http", "Services": [{"Name": "*"}]}],
    )  # fmt: skip
    edge = edge_of(world)
    assert (edge.listeners, edge.problems) == ((), ("port 80: there is no service behind it",))


def test_listener_settings_go_before_the_gateways() -> None:
    world = World("api")
    own = {"Enabled": True, "TLSMinVersion": "TLSv1_3"}
    sds = {"SDS": {"ClusterName": "sds", "CertResource": "shared"}, "TLSMaxVersion": "TLSv1_3"}
    services = [{"Name": "api", "TLS": {"SDS": {"CertResource": "own"}}, "Hosts": ["a.example.com"]}]
    listeners = [{"Port": 1, "Protocol": "http", "TLS": own, "Services": services}]
    world.entry(Kind="ingress-gateway", Name="edge", TLS=sds, Listeners=listeners)
    (listener,) = edge_of(world).listeners
    assert listener.tls is not None
    assert (listener.tls.min_version, listener.tls.max_version) == ("TLSv1_3", "TLSv1_3")
    assert listener.tls.sds is not None
    assert (listener.tls.sds.cluster_name, listener.tls.sds.cert_resource) == ("sds", "shared")
    host: VirtualHost = listener.hosts[0]
    assert host.sds is not None
    assert host.sds.cert_resource == "own"


def test_it_binds_where_its_configuration_says() -> None:
    world = World("api", "shop")
    world.entry(Kind="ingress-gateway", Name="edge", Listeners=LISTENERS[1:])
    proxy = Proxy(config={"envoy_gateway_bind_tagged_addresses": True})
    tagged = {"lan": ServiceAddress(address="10.9.9.9", port=1)}
    gateway = world.build("ingress-gateway", "edge", proxy=proxy, address="127.0.0.1", tagged_addresses=tagged).gateway
    assert gateway is not None
    assert gateway.addresses == ("127.0.0.1", "10.9.9.9")
