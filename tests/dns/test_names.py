from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.dns.names import Asked, Kind, Zones, parse_name
from meshagent.dns.wire import SRV, A

ZONES = Zones.of("consul.", "alt.test")
MAIN, ALT = ZONES


def asked(text: str, qtype: int = A, *, plain: bool = True) -> Asked:
    return parse_name(text, plain, qtype, ZONES)


@pytest.mark.parametrize(
    ("text", "kind", "name", "tag", "datacenter", "peer"),
    [
        # D1
        ("db1.node.consul", Kind.NODE, "db1", "", "", ""),
        ("db1.node.dc1.consul", Kind.NODE, "db1", "", "dc1", ""),
        ("dotted.node.name.node.consul", Kind.NODE, "dotted.node.name", "", "", ""),
        # D2
        ("web.service.consul", Kind.SERVICE, "web", "", "", ""),
        ("v1.web.service.dc2.consul", Kind.SERVICE, "web", "v1", "dc2", ""),
        ("a.b.web.service.consul", Kind.SERVICE, "web", "a.b", "", ""),
        ("node.service.consul", Kind.SERVICE, "node", "", "", ""),
        # D3
        ("_web._tcp.service.consul", Kind.SERVICE, "web", "", "", ""),
        ("_web._udp.service.consul", Kind.SERVICE, "web", "udp", "", ""),
        ("_web._v1.service.dc1.dc.consul", Kind.SERVICE, "web", "v1", "dc1", ""),
        ("web._tcp.service.consul", Kind.SERVICE, "_tcp", "web", "", ""),
        ("_web.service.consul", Kind.SERVICE, "_web", "", "", ""),
        # D5
        ("0a000001.addr.consul", Kind.ADDR, "0a000001", "", "", ""),
        ("0a000001.addr.dc9.consul", Kind.ADDR, "0a000001", "", "dc9", ""),
        # D6
        ("geo.query.consul", Kind.QUERY, "geo", "", "", ""),
        ("geo.db.query.dc1.consul", Kind.QUERY, "geo.db", "", "dc1", ""),
        ("_geo._tcp.query.consul", Kind.QUERY, "geo", "", "", ""),
        # D7-D10
        ("web.connect.consul", Kind.CONNECT, "web", "", "", ""),
        ("tag.web.connect.consul", Kind.CONNECT, "web", "", "", ""),
        ("web.virtual.consul", Kind.VIRTUAL, "web", "", "", ""),
        ("web.virtual.east.consul", Kind.VIRTUAL, "web", "", "", "east"),
        ("web.virtual.east.peer.consul", Kind.VIRTUAL, "web", "", "", "east"),
        ("web.ingress.dc1.consul", Kind.INGRESS, "web", "", "dc1", ""),
        ("web.service.east.peer.consul", Kind.SERVICE, "web", "", "", "east"),
        ("db1.node.east.peer.consul", Kind.NODE, "db1", "", "", "east"),
        # D11
        ("web.service.dc1.dc.consul", Kind.SERVICE, "web", "", "dc1", ""),
        # D12
        ("1.0.0.10.in-addr.arpa", Kind.REVERSE, "10.0.0.1", "", "", ""),
        (".".join("600000000000000000000000000000df") + ".ip6.arpa", Kind.REVERSE, "fd00::6", "", "", ""),
        ("0.10.in-addr.arpa", Kind.REVERSE, "", "", "", ""),
        ("300.0.0.10.in-addr.arpa", Kind.REVERSE, "", "", "", ""),
        ("ip6.arpa", Kind.REVERSE, "", "", "", ""),
    ],
)
def test_names_of_the_grammar(text: str, kind: Kind, name: str, tag: str, datacenter: str, peer: str) -> None:
    assert asked(text) == Asked(kind, MAIN, name, tag, datacenter, peer)


@pytest.mark.parametrize(
    "text",
    [
        "consul",
        "service.consul",
        "zork.consul",
        "dbservice.consul",
        "db1.node.x.y.consul",
        # D11: Enterprise labels
        "web.service.default.ns.consul",
        "web.service.default.ap.consul",
        "web.service.default.ns.dc1.dc.consul",
        # D5: not 8 or 32 hexadecimal digits, or something before them
        "0a0001.addr.consul",
        "zzzzzzzz.addr.consul",
        "a.0a000001.addr.consul",
        # D6
        "geo._tcp.query.consul",
        "_._tcp.service.consul",
    ],
)
def test_inside_but_no_name(text: str) -> None:
    assert asked(text).kind is Kind.NOTHING


@pytest.mark.parametrize("text", ["www.example.com", "", "consul.example.com", "web.service.notconsul", "arpa", "test"])
def test_outside(text: str) -> None:
    assert asked(text).kind is Kind.OUTSIDE


def test_the_service_label_may_be_left_out_for_srv() -> None:
    assert asked("_web._tcp.consul", SRV) == Asked(Kind.SERVICE, MAIN, "web")
    assert asked("_web._tcp.consul", A).kind is Kind.NOTHING


def test_the_alternative_domain_is_ours_too() -> None:
    assert asked("web.service.alt.test") == Asked(Kind.SERVICE, ALT, "web")
    assert parse_name("web.service.alt.test", True, A, Zones.of("consul", "")).kind is Kind.OUTSIDE


def test_a_label_with_an_odd_character_names_nothing() -> None:
    assert asked("sp ace.service.consul", plain=False).kind is Kind.NOTHING


def test_domains_are_taken_with_and_without_dots_and_in_any_case() -> None:
    assert Zones.of("Mesh.Internal.", "") == Zones.of("mesh.internal", ".")
    assert Zones.of("", "").main.text == "consul"


LABEL = st.sampled_from(
    ["web", "_web", "_tcp", "service", "node", "dc", "peer", "dc1", "addr", "query", "virtual", "x", ""]
)


@given(
    st.lists(LABEL | st.text(max_size=8), max_size=8),
    st.sampled_from(["consul", "alt.test", "in-addr.arpa", "ip6.arpa"]),
)
def test_any_name_is_understood_or_refused(labels: list[str], end: str) -> None:
    found = asked(".".join([*labels, end]), SRV)
    assert found.kind in Kind
    if found.kind not in (Kind.NOTHING, Kind.REVERSE, Kind.OUTSIDE):
        assert found.name
