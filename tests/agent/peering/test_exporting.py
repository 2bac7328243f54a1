from __future__ import annotations

from meshtest.gateways import mesh_gateway

from meshagent.agent.peering.exporting import Exporter
from meshagent.agent.peering.messages import (
    EXPORTED_SERVICE,
    EXPORTED_SERVICE_LIST,
    SERVER_ADDRESSES,
    TRUST_BUNDLE,
    Packed,
    decode_names,
    decode_roots,
)
from meshagent.agent.peering.resources import decode_instances
from meshagent.catalog.ca import CAConfig, CARoot
from meshagent.catalog.commands import CASet, ConfigEntrySet, Deregister, Register
from meshagent.catalog.entries.table import parse
from meshagent.catalog.model import Check, Node, Proxy, Service
from meshagent.catalog.store import Store

NODE = Node(name="n", address="10.0.0.1", datacenter="dc1")


def exports(store: Store, *names: str) -> None:
    services = [{"Name": name, "Consumers": [{"Peer": "east"}]} for name in names]
    entry = parse({"Kind": "exported-services", "Name": "default", "Services": services})
    store.execute(ConfigEntrySet(entry))  # type: ignore[arg-type]


def ready() -> Store:
    store = Store()
    root = CARoot("r1", "n", 7, "ski", "c-1", "2024-01-01T00:00:00Z", "2034-01-01T00:00:00Z", "pem")
    store.execute(CASet(CAConfig(), 0, "2024-01-01T00:00:00Z", "c-1", root))
    store.execute(Register(NODE, Service(id="consul", name="consul", meta={"grpc_tls_port": "8503"})))
    proxy = Proxy(destination_service_name="web")
    store.execute(Register(NODE, Service(id="web", name="web", port=80), (Check(check_id="c", service_id="web"),)))
    store.execute(Register(NODE, Service(id="p", name="p", kind="connect-proxy", port=21000, proxy=proxy)))
    store.execute(Register(NODE, Service(id="db", name="db")))
    exports(store, "web")
    return store


def offered(exporter: Exporter) -> dict[tuple[str, str], Packed]:
    return {(kind, id): resource for kind, id, resource in exporter.refresh()}


def test_a_peer_is_told_of_what_it_may_see_and_how_to_trust_it() -> None:
    store = ready()
    exporter = Exporter(store, "east", "dc1")
    found = offered(exporter)
    assert set(found) == {
        (TRUST_BUNDLE, "roots"),
        (SERVER_ADDRESSES, "server-addrs"),
        (EXPORTED_SERVICE_LIST, "exported-service-list"),
        (EXPORTED_SERVICE, "web"),
        (EXPORTED_SERVICE, "web-sidecar-proxy"),
    }
    roots = decode_roots(found[TRUST_BUNDLE, "roots"])
    assert (roots.trust_domain, roots.roots) == ("c-1.consul", ("pem",))
    assert decode_names(found[SERVER_ADDRESSES, "server-addrs"]) == ("10.0.0.1:8503",)
    assert decode_names(found[EXPORTED_SERVICE_LIST, "exported-service-list"]) == ("web",)
    (web,) = decode_instances("web", found[EXPORTED_SERVICE, "web"])
    assert (web.service.port, [check.status for check in web.checks]) == (80, ["critical"])
    (sidecar,) = decode_instances("web-sidecar-proxy", found[EXPORTED_SERVICE, "web-sidecar-proxy"])
    assert (sidecar.service.kind, sidecar.service.port) == ("connect-proxy", 21000)
    assert b"web.default.default.east.external.c-1.consul" in found[EXPORTED_SERVICE, "web-sidecar-proxy"].data
    assert exporter.names == ["web"]


def test_what_has_not_changed_is_the_same_object() -> None:
    store = ready()
    exports(store, "web", "db")
    exporter = Exporter(store, "east", "dc1")
    before = offered(exporter)
    store.execute(Register(NODE, Service(id="db", name="db", port=5432)))
    after = offered(exporter)
    assert after[EXPORTED_SERVICE, "web"] is before[EXPORTED_SERVICE, "web"]
    assert after[EXPORTED_SERVICE, "db"] != before[EXPORTED_SERVICE, "db"]


def test_what_is_exported_no_more_is_offered_empty() -> None:
    store = ready()
    exporter = Exporter(store, "east", "dc1")
    offered(exporter)
    exports(store, "db")
    found = offered(exporter)
    assert decode_instances("web", found[EXPORTED_SERVICE, "web"]) == ()
    assert decode_names(found[EXPORTED_SERVICE_LIST, "exported-service-list"]) == ("db",)


def test_every_change_of_it_wakes() -> None:
    store = ready()
    exporter = Exporter(store, "east", "dc1")
    offered(exporter)
    changes = [
        Register(NODE, None, (Check(check_id="c", service_id="web", status="passing"),)),
        Register(NODE, Service(id="p2", name="p2", kind="connect-proxy", proxy=Proxy(destination_service_name="web"))),
        Deregister("n", "web"),
        Register(NODE, Service(id="consul", name="consul", meta={"grpc_tls_port": "9"})),
        ConfigEntrySet(parse({"Kind": "service-defaults", "Name": "web", "Protocol": "http"})),  # type: ignore[arg-type]
    ]
    for change in changes:
        woken: list[int] = []
        before = offered(exporter)
        store.watches.subscribe(exporter.topics, lambda woken=woken: woken.append(1))  # type: ignore[misc]
        store.execute(change)
        store.flush()
        assert woken == [1], change
        assert offered(exporter) != before, change


def test_mesh_gateways_stand_before_a_service_while_it_is_good() -> None:
    store = ready()
    exporter = Exporter(store, "east", "dc1")
    sidecar = (EXPORTED_SERVICE, "web-sidecar-proxy")
    assert [row.service.port for row in decode_instances("web-sidecar-proxy", offered(exporter)[sidecar])] == [21000]
    row = mesh_gateway("way-in", "dc1", "9.9.9.9")
    store.execute(Register(row.node, row.service, row.checks))
    first = offered(exporter)[sidecar]
    (found,) = decode_instances("web-sidecar-proxy", first)
    assert (found.service.address, found.service.port, found.service.kind) == ("9.9.9.9", 443, "connect-proxy")
    assert found.service.proxy.destination_service_name == "web"
    assert offered(exporter)[sidecar] is first
    critical = Check(node="n", check_id="down", status="critical", service_id="p")
    store.execute(Register(NODE, None, (critical,)))
    assert decode_instances("web-sidecar-proxy", offered(exporter)[sidecar]) == ()
    assert ("service-health", "gw") in exporter.topics
