"""One row a question: name, type, rcode, answers; the tables of golden/dns say the same of a real Consul."""

from __future__ import annotations

from typing import Any

import pytest

from meshagent.catalog.commands import PreparedQueryDelete, PreparedQuerySet
from meshagent.catalog.model import Check, Node, PreparedQuery, Proxy, QueryDns, QueryService, Service, ServiceEntry
from meshagent.catalog.peering.commands import ImportedReplace, PeeringSet
from meshagent.catalog.peering.model import Peering
from meshagent.dns import records, wire
from meshagent.dns.names import Kind
from meshagent.dns.records import RECORDS, ROWS, ZONE_ROWS
from meshagent.errors import MeshError

SOA = "consul. 0 IN SOA ns.consul. hostmaster.consul. 1704067200 3600 600 86400 0"


@pytest.mark.parametrize(
    ("name", "qtype", "rcode", "answer", "additional"),
    [
        # D1
        ("n1.node.consul", "A", "NOERROR", ["n1.node.consul. 0 IN A 10.0.0.1"], ['n1.node.consul. 0 IN TXT "rack=a1"']),
        ("n1.node.consul", "AAAA", "NOERROR", [], ['n1.node.consul. 0 IN TXT "rack=a1"']),
        ("N1.Node.Consul", "TXT", "NOERROR", ['N1.Node.Consul. 0 IN TXT "rack=a1"'], []),
        (
            "n1.node.consul",
            "ANY",
            "NOERROR",
            ["n1.node.consul. 0 IN A 10.0.0.1", 'n1.node.consul. 0 IN TXT "rack=a1"'],
            [],
        ),
        ("n3.node.dc1.consul", "AAAA", "NOERROR", ["n3.node.dc1.consul. 0 IN AAAA fd00::3"], []),
        ("n1.node.consul", "MX", "NOERROR", [], []),
        ("nope.node.consul", "SRV", "NOERROR", [], []),
        # D2
        ("web.service.consul", "AAAA", "NOERROR", ["web.service.consul. 0 IN AAAA fd00::3"], []),
        ("primary.db.service.consul", "A", "NOERROR", ["primary.db.service.consul. 0 IN A 10.9.0.1"], []),
        # D4
        (
            "replica.db.service.consul",
            "SRV",
            "NOERROR",
            ["replica.db.service.consul. 0 IN SRV 1 3 5433 n2.node.dc1.consul."],
            ["n2.node.dc1.consul. 0 IN A 10.0.0.2"],
        ),
        (
            "_db._primary.service.consul",
            "SRV",
            "NOERROR",
            ["_db._primary.service.consul. 0 IN SRV 1 1 5432 0a090001.addr.dc1.consul."],
            ["0a090001.addr.dc1.consul. 0 IN A 10.9.0.1", 'n1.node.dc1.consul. 0 IN TXT "rack=a1"'],
        ),
        (
            "_db._primary.consul",
            "SRV",
            "NOERROR",
            ["_db._primary.consul. 0 IN SRV 1 1 5432 0a090001.addr.dc1.consul."],
            ["0a090001.addr.dc1.consul. 0 IN A 10.9.0.1", 'n1.node.dc1.consul. 0 IN TXT "rack=a1"'],
        ),
        # D5
        ("0A000001.ADDR.consul", "A", "NOERROR", ["0a000001.addr.consul. 0 IN A 10.0.0.1"], []),
        ("0a000001.addr.dc1.dc.consul", "MX", "NOERROR", [], ["0a000001.addr.dc1.dc.consul. 0 IN A 10.0.0.1"]),
        # D8
        ("web.virtual.consul", "A", "NOERROR", [], []),
        # D12
        ("1.0.0.10.in-addr.arpa", "PTR", "NOERROR", ["1.0.0.10.in-addr.arpa. 0 IN PTR n1.node.dc1.consul."], []),
        ("1.0.9.10.in-addr.arpa", "A", "NOERROR", ["1.0.9.10.in-addr.arpa. 0 IN PTR db.service.dc1.consul."], []),
        # D14
        (
            "any.consul",
            "NS",
            "NOERROR",
            ["consul. 0 IN NS n1.node.dc1.consul."],
            ["n1.node.dc1.consul. 0 IN A 10.0.0.1"],
        ),
        # D34
        ("web.service.consul", "AXFR", "NOTIMP", [], []),
        # D21
        ("www.example.com", "A", "REFUSED", [], []),
    ],
)
def test_what_is_there(shop: Any, name: str, qtype: str, rcode: str, answer: list[str], additional: list[str]) -> None:
    found = shop.ask(name, qtype)
    assert (found.rcode, found.sections["answer"], found.sections["additional"]) == (rcode, answer, additional)
    assert found.sections["authority"] == []


@pytest.mark.parametrize(
    ("name", "qtype", "rcode"),
    [
        ("n2.node.consul", "A", ""),
        ("nope.node.consul", "A", "NXDOMAIN"),
        ("n1.node.dc2.consul", "A", "NXDOMAIN"),
        ("n1.node.east.peer.consul", "A", "NXDOMAIN"),
        ("nope.service.consul", "SRV", "NXDOMAIN"),
        ("zork.web.service.consul", "A", "NXDOMAIN"),
        ("_web._udp.service.consul", "SRV", "NXDOMAIN"),
        ("web.service.dc2.consul", "MX", "NXDOMAIN"),
        ("web.service.consul", "MX", "NOERROR"),
        ("web.service.consul", "CNAME", "NOERROR"),
        ("db.service.consul", "AAAA", "NOERROR"),
        ("web.connect.consul", "A", "NXDOMAIN"),
        ("web.ingress.consul", "A", "NXDOMAIN"),
        ("geo.query.consul", "SRV", "NXDOMAIN"),
        ("9.9.9.9.in-addr.arpa", "PTR", "NXDOMAIN"),
        ("zork.consul", "A", "NXDOMAIN"),
        ("consul", "ANY", "NXDOMAIN"),
    ],
)
def test_what_is_not_there(shop: Any, name: str, qtype: str, rcode: str) -> None:
    # D21: with the SOA, except where a node exists
    found = shop.ask(name, qtype)
    if rcode:
        assert (found.rcode, found.sections["answer"], found.sections["authority"]) == (rcode, [], [SOA])
    else:
        assert (found.rcode, found.sections["authority"]) == ("NOERROR", [])


def test_all_usable_instances_are_named_once(shop: Any) -> None:
    shop.service("n1", "web", service_id="web-2", port=81)
    assert sorted(shop.answers("web.service.consul")) == [
        "web.service.consul. 0 IN A 10.0.0.1",
        "web.service.consul. 0 IN A 10.0.0.2",
    ]
    assert len(shop.answers("web.service.consul", "SRV", edns=1232)) == 4


def test_instances_at_one_address_add_their_weights(shop: Any) -> None:
    shop.service("n2", "w", service_id="a", weights=(3, 1))
    shop.service("n2", "w", service_id="b", weights=(4, 1))
    shop.service("n1", "w", weights=(1, 1))
    first = [shop.answers("w.service.consul")[0] for _ in range(400)]
    assert 0.8 < first.count("w.service.consul. 0 IN A 10.0.0.2") / 400 < 0.95


def test_the_zone_names_itself_and_its_servers(shop: Any) -> None:
    # D13
    found = shop.ask("CONSUL", "SOA")
    assert found.sections["answer"] == [SOA]
    assert found.sections["authority"] == ["CONSUL. 0 IN NS n1.node.dc1.consul."]
    assert found.sections["additional"] == ["n1.node.dc1.consul. 0 IN A 10.0.0.1"]


def test_no_more_than_three_servers_and_none_that_is_no_host_name(shop: Any) -> None:
    # D14
    for number, name in enumerate(("under_score", "s1", "s2", "s3", "s4")):
        shop.node(name, f"10.1.0.{number}")
        shop.service(name, "consul", port=8300)
    shop.status("s1", "consul", "critical")
    servers = [line.split()[-1] for line in shop.answers("consul", "NS")]
    assert servers == ["n1.node.dc1.consul.", "s2.node.dc1.consul.", "s3.node.dc1.consul."]


class TestPeers:
    """What a peer has told of (rows D8, D10), never mixed with what is registered here."""

    @pytest.fixture
    def peered(self, shop: Any) -> Any:
        shop.run(PeeringSet(Peering(id="i", name="east")))
        node = Node(name="far", address="10.7.0.1", datacenter="dc9")
        web = Service(name="web", id="web", port=80, tags=("v1",))
        own = Service(name="web", id="own", port=81, address="10.7.0.9")
        sick = Check(node="far", check_id="c", status="critical", service_id="own")
        proxy = Proxy(destination_service_name="web")
        sidecar = Service(name="web-sidecar-proxy", id="p", port=9, kind="connect-proxy", proxy=proxy)
        shop.run(
            ImportedReplace("east", "web", (ServiceEntry(node, web, ()), ServiceEntry(node, own, (sick,)))),
            ImportedReplace("east", "web-sidecar-proxy", (ServiceEntry(node, sidecar, ()),)),
        )
        return shop

    @pytest.mark.parametrize(
        ("name", "qtype", "answer"),
        [
            ("web.service.east.peer.consul", "A", ["web.service.east.peer.consul. 0 IN A 10.7.0.1"]),
            ("v1.web.service.east.peer.consul", "A", ["v1.web.service.east.peer.consul. 0 IN A 10.7.0.1"]),
            (
                "web.service.east.peer.consul",
                "SRV",
                ["web.service.east.peer.consul. 0 IN SRV 1 1 80 far.node.east.peer.consul."],
            ),
            ("far.node.east.peer.consul", "A", ["far.node.east.peer.consul. 0 IN A 10.7.0.1"]),
            ("web.virtual.east.peer.consul", "A", ["web.virtual.east.peer.consul. 0 IN A 240.0.0.1"]),
            ("web.virtual.east.consul", "A", ["web.virtual.east.consul. 0 IN A 240.0.0.1"]),
            ("web.virtual.consul", "A", []),
            ("web.virtual.west.peer.consul", "A", []),
        ],
    )
    def test_names(self, peered: Any, name: str, qtype: str, answer: list[str]) -> None:
        assert peered.answers(name, qtype) == answer

    @pytest.mark.parametrize("name", ["web.service.west.peer.consul", "far.node.consul", "n1.node.east.peer.consul"])
    def test_what_is_elsewhere(self, peered: Any, name: str) -> None:
        assert peered.ask(name).rcode == "NXDOMAIN"

    def test_an_answer_follows_the_peer(self, peered: Any) -> None:
        assert len(peered.answers("web.service.east.peer.consul")) == 1
        peered.run(ImportedReplace("east", "web", ()))
        assert peered.ask("web.service.east.peer.consul").rcode == "NXDOMAIN"
        assert sorted(peered.answers("web.service.consul")) == [
            "web.service.consul. 0 IN A 10.0.0.1",
            "web.service.consul. 0 IN A 10.0.0.2",
        ]


class TestOtherTypesAndOptions:
    def test_metadata_beside_addresses_can_be_switched_off(self, scene: Any) -> None:
        made = scene(enable_additional_node_meta_txt=False)
        made.node("n1", "10.0.0.1", meta={"k": "v"})
        made.service("n1", "web")
        assert made.ask("n1.node.consul").sections["additional"] == []
        assert made.ask("web.service.consul", "SRV").sections["additional"] == ["n1.node.dc1.consul. 0 IN A 10.0.0.1"]
        assert made.answers("n1.node.consul", "TXT") == ['n1.node.consul. 0 IN TXT "k=v"']

    @pytest.mark.parametrize(
        ("key", "value", "text"),
        [
            ("k", "v", "k=v"),
            ("k", "", "k="),
            ("a=b", "c=d", "a`=b=c=d"),
            (" a ", "x", "` a` =x"),
            ("a`b", "c`d", "a``b=c``d"),
            ("rfc1035-x", "a=b", "a=b"),
            ("RFC1035-x", "hello world", "hello world"),
        ],
    )
    def test_metadata_is_written_as_rfc_1464(self, scene: Any, key: str, value: str, text: str) -> None:
        made = scene()
        made.node("n1", "10.0.0.1", meta={key: value})
        assert made.answers("n1.node.consul", "TXT") == [f'n1.node.consul. 0 IN TXT "{text}"']

    def test_ttls(self, scene: Any) -> None:
        # D29
        made = scene(node_ttl_s=10, service_ttl_s={"w*": 7})
        made.node("n1", "10.0.0.1", meta={"k": "v"})
        made.service("n1", "web")
        assert made.answers("n1.node.consul") == ["n1.node.consul. 10 IN A 10.0.0.1"]
        assert made.answers("web.service.consul") == ["web.service.consul. 7 IN A 10.0.0.1"]
        assert made.ask("web.service.consul", "SRV").sections["additional"] == [
            "n1.node.dc1.consul. 7 IN A 10.0.0.1",
            'n1.node.dc1.consul. 7 IN TXT "k=v"',
        ]

    def test_only_passing(self, scene: Any) -> None:
        # D22
        made = scene(only_passing=True)
        made.node("n1", "10.0.0.1")
        made.service("n1", "web", status="warning")
        assert made.ask("web.service.consul").rcode == "NXDOMAIN"

    def test_the_alternative_domain(self, scene: Any) -> None:
        made = scene(domain="mesh.internal.", alt_domain="alt.test")
        made.node("n1", "10.0.0.1")
        made.service("n1", "web", port=1)
        assert made.answers("web.service.alt.test", "SRV") == [
            "web.service.alt.test. 0 IN SRV 1 1 1 n1.node.dc1.alt.test."
        ]
        assert "alt.test. 0 IN SOA ns.alt.test." in made.ask("x.alt.test").sections["authority"][0]
        assert "mesh.internal. 0 IN SOA" in made.ask("alt.test", "SOA").sections["answer"][0]


class TestHostNames:
    """D15: an address that is a host name."""

    @pytest.fixture
    def hosts(self, shop: Any) -> Any:
        shop.node("ext", "www.example.com")
        shop.service("ext", "extsvc", port=443)
        for name, address in {
            "cnamed": "target.example.org",
            "inner": "n1.node.consul",
            "inner2": "db.service.consul",
            "inner3": "inner2.service.consul.",
            "loop": "loop.service.consul",
            "spelt": "0A000009.addr.consul",
            "lost": "nope.service.consul",
            "wrong": "a..b",
        }.items():
            shop.service("n2", name, address=address, port=1)
        return shop

    @pytest.mark.parametrize(
        ("name", "qtype", "answer"),
        [
            ("ext.node.consul", "A", ["ext.node.consul. 0 IN CNAME www.example.com."]),
            ("extsvc.service.consul", "MX", ["extsvc.service.consul. 0 IN CNAME www.example.com."]),
            ("extsvc.service.consul", "SRV", ["extsvc.service.consul. 0 IN SRV 1 1 443 www.example.com."]),
            ("cnamed.service.consul", "AAAA", ["cnamed.service.consul. 0 IN CNAME target.example.org."]),
            (
                "inner.service.consul",
                "A",
                ["inner.service.consul. 0 IN CNAME n1.node.consul.", "n1.node.consul. 0 IN A 10.0.0.1"],
            ),
            (
                "spelt.service.consul",
                "A",
                ["spelt.service.consul. 0 IN CNAME 0A000009.addr.consul.", "0A000009.addr.consul. 0 IN A 10.0.0.9"],
            ),
            ("lost.service.consul", "A", ["lost.service.consul. 0 IN CNAME nope.service.consul."]),
            ("wrong.service.consul", "A", []),
            ("wrong.service.consul", "SRV", []),
        ],
    )
    def test_is_answered_with_what_it_leads_to(self, hosts: Any, name: str, qtype: str, answer: list[str]) -> None:
        assert hosts.answers(name, qtype) == answer

    def test_a_target_of_ours_is_followed_but_without_its_metadata(self, hosts: Any) -> None:
        assert hosts.ask("inner.service.consul", "SRV").sections["additional"] == ["n1.node.consul. 0 IN A 10.0.0.1"]

    def test_chains_are_followed_three_deep_and_loops_end(self, hosts: Any) -> None:
        assert hosts.answers("inner3.service.consul", edns=1232)[:2] == [
            "inner3.service.consul. 0 IN CNAME inner2.service.consul.",
            "inner2.service.consul. 0 IN CNAME db.service.consul.",
        ]
        assert len(hosts.answers("inner3.service.consul", edns=1232)) == 4
        assert set(hosts.answers("loop.service.consul")) == {"loop.service.consul. 0 IN CNAME loop.service.consul."}

    def test_addresses_are_preferred_to_host_names(self, hosts: Any) -> None:
        hosts.service("n1", "cnamed", address="10.0.0.77")
        assert hosts.answers("cnamed.service.consul") == ["cnamed.service.consul. 0 IN A 10.0.0.77"]

    def test_the_answer_follows_a_change_of_the_target(self, hosts: Any) -> None:
        for _ in range(3):
            hosts.answers("inner.service.consul")
        hosts.node("n1", "10.0.0.111")
        assert hosts.answers("inner.service.consul")[1] == "n1.node.consul. 0 IN A 10.0.0.111"


class TestConnect:
    """D7"""

    def test_proxies_and_native_instances(self, shop: Any) -> None:
        from meshagent.catalog.model import Connect, Proxy

        shop.service(
            "n1", "web-sidecar-proxy", kind="connect-proxy", port=21000, proxy=Proxy(destination_service_name="web")
        )
        shop.service("n2", "nat", port=90, connect=Connect(native=True))
        assert shop.answers("web.connect.consul", "SRV") == [
            "web.connect.consul. 0 IN SRV 1 1 21000 n1.node.dc1.consul."
        ]
        assert shop.answers("tag.web.connect.consul") == ["tag.web.connect.consul. 0 IN A 10.0.0.1"]
        assert shop.answers("nat.connect.dc1.consul") == ["nat.connect.dc1.consul. 0 IN A 10.0.0.2"]
        # D16
        assert shop.answers("web-sidecar-proxy.service.consul") == ["web-sidecar-proxy.service.consul. 0 IN A 10.0.0.1"]


class TestTable:
    def test_every_kind_has_a_row_for_any_type(self) -> None:
        for kind in Kind:
            if kind is not Kind.OUTSIDE:
                assert (kind, 0) in RECORDS, kind

    def test_duplicates_are_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(records, "ROWS", (*ROWS, ROWS[0]))
        with pytest.raises(ValueError, match="two rows for node"):
            records._table()

    @pytest.mark.parametrize("row", [*ROWS, *ZONE_ROWS], ids=lambda row: row.example)
    def test_examples_are_of_their_row(self, shop: Any, row: records.Row) -> None:
        assert row.help
        name, qtype = row.example.split()
        if row.types:
            assert getattr(wire, qtype) in row.types
        try:
            found = shop.ask(name, qtype)
        except MeshError as error:  # pragma: no cover
            pytest.fail(str(error))
        assert found.reply

    def test_every_row_is_in_the_readme(self) -> None:
        from pathlib import Path

        text = (Path(records.__file__).parent / "README.md").read_text()
        for row in (*ROWS, *ZONE_ROWS):
            assert row.example in text, row.example


def _prepared(name: str, service: str, *, ttl: str = "", near: str = "") -> PreparedQuerySet:
    block = QueryService(service=service, near=near)
    return PreparedQuerySet(PreparedQuery(id=f"id-{name}", name=name, service=block, dns=QueryDns(ttl=ttl)))


class TestPreparedQueries:
    """D6, D29: `.query.` names answer as services do, with a TTL of their own."""

    def test_records(self, shop: Any) -> None:
        shop.service("n2", "pq", port=80)
        shop.run(_prepared("Geo", "pq", ttl="9s"))
        assert shop.answers("geo.query.consul") == ["geo.query.consul. 9 IN A 10.0.0.2"]
        assert shop.answers("GEO.query.dc1.consul") == ["GEO.query.dc1.consul. 9 IN A 10.0.0.2"]
        found = shop.ask("_geo._tcp.query.consul", "SRV")
        assert found.sections["answer"] == ["_geo._tcp.query.consul. 9 IN SRV 1 1 80 n2.node.dc1.consul."]
        assert found.sections["additional"] == ["n2.node.dc1.consul. 9 IN A 10.0.0.2"]
        for qtype in ("AAAA", "MX"):
            nothing = shop.ask("geo.query.consul", qtype)
            assert (nothing.rcode, nothing.sections["authority"]) == ("NOERROR", [SOA])
        for name in ("geo.query.dc9.consul", "geo._tcp.query.consul"):
            assert shop.ask(name, "SRV").rcode == "NXDOMAIN"

    def test_kept_answers_follow_definition_and_instances(self, shop: Any) -> None:
        def ask() -> list[str]:
            return [shop.answers("geo.query.consul") for _ in range(4)][-1]  # by now it is kept

        assert ask() == []
        shop.run(_prepared("geo", "pq"))
        assert ask() == []
        shop.service("n1", "pq")
        assert ask() == ["geo.query.consul. 0 IN A 10.0.0.1"]
        shop.run(_prepared("geo", "pq", ttl="7s"))
        assert ask() == ["geo.query.consul. 7 IN A 10.0.0.1"]
        shop.run(PreparedQueryDelete("id-geo"))
        assert ask() == []

    def test_d23_nearest_first(self, shop: Any) -> None:
        shop.service("n1", "pq")
        shop.service("n2", "pq")
        shop.run(_prepared("geo", "pq", near="n2"))
        answers = {tuple(shop.answers("geo.query.consul")) for _ in range(20)}
        assert [answer[0] for answer in answers] == ["geo.query.consul. 0 IN A 10.0.0.2"]

    def test_d29_the_ttl_is_else_that_of_the_service(self, scene: Any) -> None:
        shop = scene(service_ttl_s={"pq": 5, "geo": 6})
        shop.node("n1", "10.0.0.1")
        shop.service("n1", "pq")
        shop.run(_prepared("geo", "pq"))
        assert shop.answers("geo.query.consul") == ["geo.query.consul. 5 IN A 10.0.0.1"]
