"""Room, order, TC and flags of one answer."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from meshtest.dnstext import answer_of, question_bytes

from meshagent.dns.answer import Plan, answer_once, failure
from meshagent.dns.names import Zones
from meshagent.dns.records import zone_record
from meshagent.dns.sections import Sections, unknown_name
from meshagent.dns.settings import DnsSettings
from meshagent.dns.wire import (
    QUESTION_OWNER,
    SERVFAIL,
    SRV,
    ZONE_OWNER,
    A,
    address,
    parse_question,
    record,
    txt,
    wire_name,
)

ZONE = Zones.of("consul", "").main
DEFAULT = DnsSettings()


def sections_of(count: int, *, weights: list[int] | None = None) -> Sections:
    made = Sections((), [address(QUESTION_OWNER, 0, number.to_bytes(4, "big")) for number in range(count)])
    made.simple = made.capped = True
    made.weights = weights
    return made


def srv_sections(names: list[str], *, texts: bool = False, other_names: bool = False) -> Sections:
    made = Sections()
    made.answers, made.extras, made.texts = [], [], []
    for number, name in enumerate(names):
        target = wire_name(f"{name}.node.dc1.consul") or b"\x00"
        owner = (wire_name(f"other{number}.consul") or b"\x00") if other_names else target
        made.answers.append(
            record(QUESTION_OWNER, SRV, 0, b"\x00\x01\x00\x01" + number.to_bytes(2, "big"), target, False)
        )
        made.extras.append((address(target, 0, number.to_bytes(4, "big")),))
        made.texts.append((txt(owner, 0, "consul-version=" + "1.20.1+" * 8),))
    if not texts:
        made.texts = ()
    made.simple = not other_names
    return made


def answer(
    sections: Sections, *, tcp: bool = False, options: DnsSettings = DEFAULT, seed: int = 1, **query: Any
) -> Any:
    query = {"name": "web.service.consul", "type": "A", **query}
    packet = question_bytes(query)
    plan = Plan(parse_question(packet), sections, ZONE, options, tcp)
    message = plan.render(random.Random(seed), zone_record(options, ZONE_OWNER, 99))
    found = answer_of(packet[:2] + message)
    assert found.problem == ""
    return found


class TestRoom:
    @pytest.mark.parametrize(
        ("total", "query", "tcp", "sent", "cut"),
        [
            # D24: 512 bytes without EDNS, or with one that allows no more
            (3, {}, False, 3, False),
            (4, {}, False, 3, True),
            (200, {"edns": 512}, False, 3, True),
            # D25
            (40, {"edns": 1232}, False, 40, False),
            (200, {"edns": 1232}, False, 74, True),
            (200, {"edns": 4096}, False, 200, False),
            (5000, {"edns": 65535}, False, 4091, True),
            # D27
            (200, {}, True, 200, False),
            (5000, {}, True, 4093, False),
        ],
    )
    def test_addresses(self, total: int, query: dict[str, Any], tcp: bool, sent: int, cut: bool) -> None:
        found = answer(sections_of(total), tcp=tcp, **query)
        assert len(found.sections["answer"]) == sent
        assert ("tc" in found.flags) is cut
        limit = 65533 if tcp else query.get("edns", 512)
        assert found.size <= max(512, limit)

    @pytest.mark.parametrize(
        ("total", "query", "tcp", "sent"),
        [(10, {}, False, 3), (40, {"edns": 1232}, False, 20), (200, {"edns": 4096}, False, 68), (2000, {}, True, 1024)],
    )
    def test_srv_takes_its_targets_addresses_along(
        self, total: int, query: dict[str, Any], tcp: bool, sent: int
    ) -> None:
        found = answer(srv_sections([f"web-{number:03}" for number in range(total)]), tcp=tcp, type="SRV", **query)
        assert len(found.sections["answer"]) == sent
        targets = {line.split()[-1] for line in found.sections["answer"]}
        assert {line.split()[0] for line in found.sections["additional"]} == targets

    @pytest.mark.parametrize(("limit", "sent"), [(1, 1), (5, 5), (0, 8), (100, 8)])
    def test_udp_answer_limit(self, limit: int, sent: int) -> None:
        found = answer(sections_of(20), options=DnsSettings(udp_answer_limit=limit))
        assert len(found.sections["answer"]) == sent
        assert "tc" in found.flags

    def test_what_is_cut_to_the_limit_is_measured_uncompressed(self) -> None:
        # D30: 4, though 5 would fit compressed (step 16 of dns-truncate)
        found = answer(
            srv_sections([f"ten-{n:03}" for n in range(10)]), type="SRV", options=DnsSettings(udp_answer_limit=5)
        )
        assert len(found.sections["answer"]) == 4

    @pytest.mark.parametrize("tcp", [False, True])
    def test_a_record_limit_is_no_truncation(self, tcp: bool) -> None:
        # D28: a retry would not get more
        found = answer(sections_of(5), tcp=tcp, options=DnsSettings(a_record_limit=2))
        assert len(found.sections["answer"]) == 2
        assert "tc" not in found.flags
        srv = answer(srv_sections(list("abc")), tcp=tcp, type="SRV", options=DnsSettings(a_record_limit=2))
        assert len(srv.sections["answer"]) == 3

    def test_over_tcp_tc_is_set_only_on_request(self) -> None:
        options = DnsSettings(enable_truncate=True)
        assert "tc" in answer(sections_of(5000), tcp=True, options=options).flags

    def test_metadata_goes_before_an_answer_does(self) -> None:
        names = [60 * "x" + str(number) for number in range(3)]
        assert len(answer(srv_sections(names[:2], texts=True), type="SRV").sections["additional"]) == 4
        found = answer(srv_sections(names, texts=True), type="SRV")
        assert [len(found.sections[key]) for key in ("answer", "additional")] == [3, 3]
        assert "tc" not in found.flags

    def test_metadata_beside_an_address_goes_when_there_is_no_room(self) -> None:
        made = Sections((), [address(QUESTION_OWNER, 0, bytes(4))])
        made.ordered = True
        made.additional = [txt(QUESTION_OWNER, 0, "x" * 200) for _ in range(3)]
        assert answer(made).sections["additional"] == []
        assert len(answer(made, edns=1232).sections["additional"]) == 3

    def test_an_answer_that_does_not_fit_at_all_leaves_tc(self) -> None:
        made = Sections((), [txt(QUESTION_OWNER, 0, "x" * 600)])
        made.ordered = True
        found = answer(made, type="TXT")
        assert (found.sections["answer"], "tc" in found.flags) == ([], True)

    NAMES = st.lists(st.text("abc", min_size=1, max_size=60), min_size=1, max_size=40)

    @settings(max_examples=60)
    @given(
        NAMES,
        st.sampled_from([0, 512, 700, 1232, 4096]),
        st.booleans(),
        st.booleans(),
        st.booleans(),
        st.integers(0, 9),
    )
    def test_no_answer_is_larger_than_the_client_takes(
        self, names: list[str], edns: int, texts: bool, other_names: bool, compress: bool, seed: int
    ) -> None:
        made = srv_sections(names, texts=texts, other_names=other_names)
        query = {"edns": edns} if edns else {}
        options = DnsSettings(disable_compression=not compress)
        found = answer(made, type="SRV", options=options, seed=seed, **query)
        assert found.size <= max(512, edns)
        left_out = len(found.sections["answer"]) < len(names)
        assert ("tc" in found.flags) is left_out


class TestOrder:
    def test_answers_are_drawn_each_time(self) -> None:
        made = sections_of(40)
        first = {answer(made, seed=seed).sections["answer"][0] for seed in range(200)}
        assert len(first) > 30

    def test_heavier_ones_come_first(self) -> None:
        made = sections_of(2, weights=[9, 1])
        first = [answer(made, seed=seed).sections["answer"][0] for seed in range(400)]
        assert 0.85 < first.count("web.service.consul. 0 IN A 0.0.0.0") / 400 < 0.95

    def test_ordered_ones_stay(self) -> None:
        made = sections_of(3)
        made.ordered, made.simple = True, False
        assert {tuple(answer(made, seed=seed).sections["answer"]) for seed in range(20)} == {
            tuple(f"web.service.consul. 0 IN A 0.0.0.{number}" for number in range(3))
        }


class TestFlagsAndSpelling:
    def test_recursion_is_offered_only_with_recursors(self) -> None:
        # D20
        assert answer(sections_of(1)).flags == ["qr", "aa", "rd"]
        assert answer(sections_of(1), options=DnsSettings(recursors=("1.1.1.1",))).flags == ["qr", "aa", "rd", "ra"]

    @pytest.mark.parametrize("compress", [True, False])
    def test_the_question_comes_back_as_it_was_spelt(self, compress: bool) -> None:
        options = DnsSettings(disable_compression=not compress)
        found = answer(sections_of(2), name="wEb.Service.CONSUL", options=options)
        assert found.sections["question"] == ["wEb.Service.CONSUL. IN A"]
        assert all(line.startswith("wEb.Service.CONSUL. ") for line in found.sections["answer"])

    @pytest.mark.parametrize("name", ["x.CONSUL", "9.9.9.9.in-addr.arpa"])
    @pytest.mark.parametrize("compress", [True, False])
    def test_negative_answers(self, name: str, compress: bool) -> None:
        # D21, D13
        found = answer(unknown_name(), name=name, edns=1232, options=DnsSettings(disable_compression=not compress))
        zone = "CONSUL." if name.endswith("CONSUL") else "consul."
        assert found.rcode == "NXDOMAIN"
        assert found.sections["authority"] == [f"{zone} 0 IN SOA ns.{zone} hostmaster.{zone} 99 3600 600 86400 0"]
        assert found.edns["udp"] == 1232

    def test_failures_are_bare(self) -> None:
        packet = question_bytes({"name": "www.example.com", "type": "A", "edns": 1232})
        found = answer_of(packet[:2] + failure(parse_question(packet), SERVFAIL, DnsSettings(recursors=("1.1.1.1",))))
        assert (found.rcode, found.flags, found.edns["udp"]) == ("SERVFAIL", ["qr", "rd", "ra"], 1232)
        assert parse_question(packet).type == A


class TestOnce:
    """The short way says what the plan would."""

    @pytest.mark.parametrize("recursors", [(), ("1.1.1.1",)])
    @pytest.mark.parametrize("query", [{}, {"edns": 1232}, {"name": "wEb.Service.CONSUL"}, {"rd": False}], ids=str)
    @pytest.mark.parametrize(
        "sections",
        [
            sections_of(1),
            srv_sections(["n1"]),
            srv_sections(["n1"], texts=True),
            srv_sections(["n1"], texts=True, other_names=True),
            unknown_name(),
            Sections(),
            sections_of(3, weights=[1, 2, 3]),
        ],
        ids=["address", "srv", "srv with texts", "srv with other names", "unknown", "nothing", "several"],
    )
    @pytest.mark.parametrize("compress", [True, False])
    def test_is_what_the_plan_says(
        self, sections: Sections, query: dict[str, Any], recursors: tuple[str, ...], compress: bool
    ) -> None:
        options = DnsSettings(recursors=recursors, disable_compression=not compress)
        question = parse_question(question_bytes({"name": "web.service.consul", "type": "A", **query}))
        soa = zone_record(options, ZONE_OWNER, 99)
        once = answer_once(question, sections, ZONE, options, False, random.Random(1), soa)
        assert once == Plan(question, sections, ZONE, options, False).render(random.Random(1), soa)

    def test_what_is_too_large_takes_the_long_way(self) -> None:
        made = srv_sections(["x" * 60], texts=True)
        made.texts = (made.texts[0] * 10,)
        question = parse_question(question_bytes({"name": "web.service.consul", "type": "SRV"}))
        soa = zone_record(DEFAULT, ZONE_OWNER, 99)
        assert len(answer_once(question, made, ZONE, DEFAULT, False, random.Random(1), soa)) < 510
        assert len(answer_once(question, made, ZONE, DEFAULT, True, random.Random(1), soa)) > 510


class TestWhatTheCacheAsks:
    def plan(self, sections: Sections, qtype: str = "A") -> Plan:
        question = parse_question(question_bytes({"name": "web.service.consul", "type": qtype}))
        return Plan(question, sections, ZONE, DEFAULT, False)

    def test_one_answer_or_none_is_constant(self) -> None:
        assert self.plan(sections_of(1)).constant
        assert self.plan(unknown_name()).constant
        assert not self.plan(sections_of(2)).constant

    def test_what_holds_the_serial_is_timed(self) -> None:
        assert self.plan(unknown_name()).timed
        assert self.plan(sections_of(1), "SOA").timed
        assert not self.plan(sections_of(1)).timed
