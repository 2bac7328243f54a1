from __future__ import annotations

from typing import Any

import pytest
from meshtest.rows import check, deregister, node, register, service

from meshagent.catalog.commands import ConfigEntrySet, PreparedQuerySet
from meshagent.catalog.entries.table import parse
from meshagent.catalog.model import (
    Connect,
    Node,
    PreparedQuery,
    QueryDns,
    QueryService,
    QueryTemplate,
    Service,
    ServiceAddress,
    ServiceEntry,
)
from meshagent.catalog.store import Store
from meshagent.dns.view import Addresses, CatalogView, addresses_of_instance, addresses_of_node

V4, V4B = b"\x0a\x00\x00\x01", b"\x0a\x00\x00\x02"
V6 = bytes.fromhex("fd000000000000000000000000000001")


@pytest.mark.parametrize(
    ("address", "tagged", "expected"),
    [
        ("10.0.0.1", None, Addresses(V4, None)),
        ("fd00::1", None, Addresses(None, V6)),
        ("www.example.com", None, Addresses(None, None, "www.example.com")),
        ("10.0.0.1", {"lan_ipv6": "fd00::1"}, Addresses(V4, V6)),
        ("10.0.0.1", {"lan_ipv4": "10.0.0.2"}, Addresses(V4B, None)),
        ("fd00::1", {"lan_ipv4": "10.0.0.1", "wan": "1.2.3.4"}, Addresses(V4, V6)),
        ("www.example.com", {"lan_ipv4": "10.0.0.1"}, Addresses(V4, None, "www.example.com")),
        ("", None, Addresses(None, None, "")),
    ],
)
def test_addresses_of_a_node(address: str, tagged: dict[str, str] | None, expected: Addresses) -> None:
    # D1
    assert addresses_of_node(Node(name="n", address=address, tagged_addresses=tagged)) == expected


@pytest.mark.parametrize(
    ("address", "tagged", "expected"),
    [
        ("", {}, Addresses(V4, None)),
        ("10.0.0.2", {}, Addresses(V4B, None)),
        ("fd00::1", {}, Addresses(None, V6)),  # no fallback to the node's other family
        ("", {"lan_ipv6": "fd00::1"}, Addresses(None, V6, "")),
        ("", {"consul-virtual": "240.0.0.1"}, Addresses(V4, None)),
        ("10.0.0.2", {"lan_ipv6": "fd00::1"}, Addresses(V4B, V6)),
        ("db.example.com", {}, Addresses(None, None, "db.example.com")),
    ],
)
def test_addresses_of_an_instance(address: str, tagged: dict[str, str], expected: Addresses) -> None:
    # D2, D4
    rows = {key: ServiceAddress(address=value) for key, value in tagged.items()} or None
    service = Service(name="s", address=address, tagged_addresses=rows)
    assert addresses_of_instance(ServiceEntry(Node(name="n", address="10.0.0.1"), service, ())) == expected


class TestInstances:
    def names(self, scene: Any, service: str = "web", tag: str = "", **more: bool) -> list[tuple[str, int]]:
        options = {"connect": False, "only_passing": False, **more}
        usable, _ = CatalogView(scene.store).instances(service, tag, **options)
        return [(entry.node.name, weight) for entry, weight in usable]

    def test_critical_ones_are_left_out_and_warning_ones_weigh_less(self, shop: Any) -> None:
        # D22, D4
        shop.status("n1", "web", "critical")
        assert self.names(shop) == [("n2", 1), ("n3", 1)]
        assert self.names(shop, "db") == [("n1", 1), ("n2", 3)]
        shop.status("n2", "db", "passing")
        assert self.names(shop, "db") == [("n1", 1), ("n2", 10)]

    def test_only_passing_leaves_out_warning_ones(self, shop: Any) -> None:
        assert self.names(shop, "db", only_passing=True) == [("n1", 1)]

    def test_node_checks_count(self, shop: Any) -> None:
        shop.status("n2", "", "critical")
        assert self.names(shop) == [("n1", 1), ("n3", 1)]
        shop.status("n2", "", "warning")
        assert self.names(shop, only_passing=True) == [("n1", 1), ("n3", 1)]

    def test_maintenance_counts_as_critical(self, shop: Any) -> None:
        shop.status("n1", "web", "maintenance")
        assert [name for name, _ in self.names(shop)] == ["n2", "n3"]

    def test_tags_match_without_regard_to_case(self, shop: Any) -> None:
        assert self.names(shop, "db", "replica") == [("n2", 3)]
        assert self.names(shop, "db", "zork") == []

    def test_weights_fit_into_16_bits(self, shop: Any) -> None:
        shop.service("n1", "big", weights=(70000, -1))
        assert self.names(shop, "big") == [("n1", 65535)]


class TestTopics:
    """What a read depends on: its own thing, not whole tables."""

    def test_a_service_by_its_health(self, shop: Any) -> None:
        view = CatalogView(shop.store)
        for name in ("web", "nope"):
            _, topics = view.instances(name, "", connect=False, only_passing=False)
            assert topics == (("service-health", name),)
        gateways = ("config-kind", "terminating-gateway")
        assert view.instances("web", "", connect=True, only_passing=False)[1] == (("connect", "web"), gateways)

    def test_a_missing_node_by_its_own_name(self, shop: Any) -> None:
        assert CatalogView(shop.store).node("nope") == (None, (("node", "nope"),))

    def test_an_address(self, shop: Any) -> None:
        view = CatalogView(shop.store)
        assert view.names_at("10.0.0.1") == ("n1", "", (("address", "10.0.0.1"),))
        assert view.names_at("10.9.0.1") == ("", "db", (("address", "10.9.0.1"),))
        assert view.names_at("10.9.9.9")[:2] == ("", "")


class TestPreparedQueries:
    """D6: names below `.query.`."""

    def test_instances_weights_ttl_and_topics(self, shop: Any) -> None:
        shop.service("n1", "heavy", weights=(7, 2))
        shop.service("n2", "heavy", weights=(7, 2), status="warning")
        query = PreparedQuery(id="q", name="Q", service=QueryService(service="heavy"), dns=QueryDns(ttl="1m30s"))
        shop.run(PreparedQuerySet(query))
        found = CatalogView(shop.store).query("q")
        assert found is not None
        assert [(entry.node.name, weight) for entry, weight in found.usable] == [("n1", 7), ("n2", 2)]
        assert (found.service, found.ttl_s, found.ordered) == ("heavy", 90, False)
        assert found.topics == ("prepared-queries", ("service-health", "heavy"))

    def test_near_the_agent_that_is_asked(self, shop: Any) -> None:
        shop.service("n1", "two")
        shop.service("n2", "two")
        shop.run(PreparedQuerySet(PreparedQuery(id="q", name="q", service=QueryService(service="two", near="_agent"))))
        for name in ("n1", "n2"):
            found = CatalogView(shop.store, name).query("q")
            assert found is not None
            assert (found.usable[0][0].node.name, found.ordered, found.ttl_s) == (name, True, None)

    def test_no_query_and_the_id_of_a_template(self, shop: Any) -> None:
        template_id = "11111111-2222-3333-4444-555555555555"
        template = QueryTemplate(type="name_prefix_match")
        row = PreparedQuery(id=template_id, name="t-", template=template, service=QueryService(service="web"))
        shop.run(PreparedQuerySet(row))
        view = CatalogView(shop.store)
        assert view.query("nope") is None
        assert view.query(template_id) is None
        assert view.query("t-x") is not None


def test_the_virtual_address_of_a_mesh_service_and_what_changes_it():
    """Surface row D8."""
    store = Store()
    view = CatalogView(store)
    packed, topics = view.virtual_ip("web")
    assert packed is None
    woken: list[int] = []
    store.watches.subscribe(topics, lambda: woken.append(1))
    register(store, node(), service("web", connect=Connect(native=True)))
    assert woken == [1]
    packed, topics = view.virtual_ip("web")
    assert packed == bytes((240, 0, 0, 1))
    store.watches.subscribe(topics, lambda: woken.append(2))
    deregister(store, "n1", service_id="web")
    assert woken == [1, 2]
    assert view.virtual_ip("web")[0] is None


def test_gateways_that_expose_a_service_and_what_changes_them():
    """Surface row D9."""
    store = Store()
    view = CatalogView(store)
    register(store, node(), service("gw", kind="ingress-gateway", port=8080), check("c", service_id="gw"))
    usable, topics = view.ingress("web", only_passing=False)
    assert usable == []
    woken: list[int] = []
    store.watches.subscribe(topics, lambda: woken.append(1))
    entry = parse(
        {"Kind": "ingress-gateway", "Name": "gw", "Listeners": [{"Port": 8080, "Services": [{"Name": "web"}]}]}
    )
    store.execute(ConfigEntrySet(entry))
    store.flush()
    assert woken == [1]
    usable, _ = view.ingress("web", only_passing=False)
    assert [(found.service.id, weight) for found, weight in usable] == [("gw", 1)]
    register(store, node(), None, check("c", "critical", service_id="gw"), skip=True)
    assert view.ingress("web", only_passing=False)[0] == []
