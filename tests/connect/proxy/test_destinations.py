"""What an address means to a transparent sidecar (surface rows M5, M10, X9)."""

from __future__ import annotations

import pytest

from meshagent.catalog.entries.graph import Lookup
from meshagent.connect.chain import compile_chain
from meshagent.connect.proxy.destinations import Destinations, Instance, Nowhere, Outside, Service, Where
from meshagent.connect.snapshot import Cluster, Endpoint, Outbound, ProxySnapshot
from meshagent.connect.transparent import Transparent


def snapshot(*, mesh_only: bool = False) -> ProxySnapshot:
    chain = compile_chain(Lookup(lambda kind, name: None, lambda kind: []), "api", "dc1", "td.consul")
    target = chain.targets["api.default.default.dc1"]
    endpoints = (
        Endpoint("api-1", "n1", "10.0.0.1", 20000, direct_port=8080),
        Endpoint("api-2", "n1", "10.0.0.1", 20001, direct_port=8081),
        Endpoint("api-3", "n2", "10.0.0.2", 20000),
        Endpoint("api-4", "n3", "host.example", 20000, direct_port=8080),
        Endpoint("api-5", "n4", "FD00::0:5", 20000, direct_port=8080),
    )
    return ProxySnapshot(
        "web-proxy", "web", "dc1", "td.consul", True, "",
        outbound=(
            Outbound("api", "", 0, chain=chain, virtual_ips=("240.0.0.1", "10.96.0.1", "fd00::1")),
            Outbound("db", "127.0.0.1", 9191, virtual_ips=("240.0.0.2",)),
            Outbound("listed", "127.0.0.1", 9192),
            Outbound("ext", "", 0, outside=(("10.9.9.9", 5432), ("db.example", 5432))),
        ),
        clusters={target.id: Cluster(target, ("id",), endpoints)},
        transparent=Transparent(15001, mesh_only),
    )  # fmt: skip


def instance(node: str, id: str, address: str, port: int) -> Instance:
    return Instance("virtual:api", "api", ("api.default.default.dc1", node, id, address, port))


UNKNOWN = Nowhere("no service that may be reached from here has this virtual address")


@pytest.mark.parametrize(
    ("address", "port", "wanted"),
    [
        ("240.0.0.1", 80, Service("virtual:api")),
        ("240.0.0.1", 443, Service("virtual:api")),
        ("10.96.0.1", 1, Service("virtual:api")),
        ("fd00::1", 1, Service("virtual:api")),
        ("240.0.0.2", 5432, Service("127.0.0.1:9191")),
        ("240.0.0.3", 80, UNKNOWN),
        ("255.255.255.255", 80, UNKNOWN),
        ("10.0.0.1", 8080, instance("n1", "api-1", "10.0.0.1", 20000)),
        ("10.0.0.1", 8081, instance("n1", "api-2", "10.0.0.1", 20001)),
        ("fd00::5", 8080, instance("n4", "api-5", "FD00::0:5", 20000)),
        ("10.0.0.1", 22, Outside()),
        ("10.9.9.9", 5432, Service("virtual:ext")),
        ("10.9.9.9", 22, Outside()),
        ("10.0.0.2", 8080, Outside()),
        ("93.184.216.34", 443, Outside()),
        ("2001:db8::1", 443, Outside()),
    ],
)
def test_where_it_leads(address: str, port: int, wanted: Where) -> None:
    assert Destinations(snapshot()).of(address, port) == wanted


def test_nothing_leaves_a_mesh_that_is_closed() -> None:
    closed = Destinations(snapshot(mesh_only=True))
    assert closed.of("240.0.0.1", 80) == Service("virtual:api")
    assert closed.of("10.0.0.1", 8080) == instance("n1", "api-1", "10.0.0.1", 20000)
    for address in ("10.0.0.2", "93.184.216.34", "2001:db8::1", "240.0.0.9"):
        assert closed.of(address, 80) == Nowhere("it is not of the mesh, and the mesh entry lets nothing leave it")
