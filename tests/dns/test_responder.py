"""From packet to answer, through the cache and past it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import dns.message
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from meshtest.dnstext import answer_of, question_bytes

from meshagent.catalog.store import Store
from meshagent.dns.responder import Elsewhere
from meshagent.dns.wire import CNAME, A, address, record, wire_name

WEB = "web.service.consul"


def cached(scene: Any) -> int:
    return len(scene.responder.cache)


class TestCaching:
    @pytest.mark.parametrize("qtype", ["A", "SRV", "AAAA", "MX", "NS", "SOA"])
    def test_the_third_time_the_bytes_are_ready(self, shop: Any, qtype: str) -> None:
        packet = question_bytes({"name": WEB, "type": qtype})
        answers = [shop.reply(packet) for _ in range(3)]
        hot = shop.responder.cache.udp
        assert packet[2:] in hot.rotating or packet[2:] in hot.timed
        assert len({answer_of(packet[:2] + answer).rcode for answer in answers}) == 1

    @pytest.mark.parametrize(
        "change",
        [
            lambda s: s.status("n1", "web", "critical"),
            lambda s: s.status("n1", "", "critical"),
            lambda s: s.node("n1", "10.0.0.111"),
            lambda s: s.gone("n1", "web"),
            lambda s: s.gone("n1"),
            lambda s: s.service("n1", "web", address="10.0.0.112"),
            lambda s: s.service("n1", "web", service_id="web-2", address="10.0.0.113"),
        ],
        ids=["check", "node check", "node address", "instance gone", "node gone", "instance address", "new instance"],
    )
    @pytest.mark.parametrize("qtype", ["A", "SRV"])
    def test_a_change_is_seen_in_the_next_answer(self, shop: Any, qtype: str, change: Any) -> None:
        for _ in range(5):
            before = sorted(shop.answers(WEB, qtype, edns=1232)), sorted(shop.ask(WEB, qtype).sections["additional"])
        change(shop)
        after = sorted(shop.answers(WEB, qtype, edns=1232)), sorted(shop.ask(WEB, qtype).sections["additional"])
        assert before != after

    def test_a_new_service_is_seen_after_its_name_was_denied(self, shop: Any) -> None:
        for _ in range(5):
            assert shop.ask("new.service.consul").rcode == "NXDOMAIN"
        shop.service("n1", "new")
        assert shop.answers("new.service.consul") == ["new.service.consul. 0 IN A 10.0.0.1"]

    def test_a_new_node_is_seen_after_its_name_and_address_were_denied(self, shop: Any) -> None:
        for _ in range(5):
            assert shop.ask("new.node.consul").rcode == "NXDOMAIN"
            assert shop.ask("9.0.0.10.in-addr.arpa", "PTR").rcode == "NXDOMAIN"
        shop.node("new", "10.0.0.9")
        assert shop.answers("new.node.consul") == ["new.node.consul. 0 IN A 10.0.0.9"]
        assert shop.answers("9.0.0.10.in-addr.arpa", "PTR") == ["9.0.0.10.in-addr.arpa. 0 IN PTR new.node.dc1.consul."]

    def test_changes_elsewhere_leave_it_alone(self, shop: Any) -> None:
        for _ in range(3):
            shop.answers(WEB)
            shop.ask("nope.service.consul")
        kept = cached(shop)
        shop.status("n1", "db", "critical")
        shop.service("n1", "other")
        shop.node("n4", "10.0.0.4")
        assert cached(shop) == kept

    def test_a_restored_snapshot_is_seen(self, shop: Any) -> None:
        for _ in range(3):
            shop.answers(WEB)
        empty = list(Store().snapshot())
        shop.store.restore(empty)
        assert shop.ask(WEB).rcode == "NXDOMAIN"

    async def test_the_serial_follows_the_clock(self, shop: Any) -> None:
        serials = []
        for _ in range(6):
            serials.append(shop.ask("nope.service.consul").sections["authority"][0].split()[6])
            serials.append(shop.ask("consul", "SOA").sections["answer"][0].split()[6])
            await shop.clock.advance(0.5)
        assert serials == [str(1704067200 + n // 2) for n in range(6) for _ in range(2)]

    def test_spellings_share_what_is_known(self, shop: Any) -> None:
        for spelt in ("web.service.consul", "WEB.service.consul", "wEb.SERVICE.Consul"):
            for _ in range(2):
                assert all(line.startswith(f"{spelt}. ") for line in shop.answers(spelt))
        assert len(shop.store.watches) == 1

    def test_a_dot_inside_a_label_is_another_name(self, shop: Any) -> None:
        # "web.service" as one label looks like web.service.consul in text form
        for _ in range(3):
            assert shop.ask(r"web\.service.consul").rcode == "NXDOMAIN"
        assert shop.ask(WEB).rcode == "NOERROR"
        for _ in range(3):
            shop.ask(WEB)
        assert shop.ask(r"web\.service.consul").rcode == "NXDOMAIN"

    def test_flags_edns_and_transport_are_part_of_the_question(self, shop: Any) -> None:
        for number in range(20):
            shop.service("n2", "many", service_id=f"m{number}", address=f"10.2.0.{number}")
        for _ in range(4):
            assert len(shop.answers("many.service.consul")) == 3
            assert len(shop.answers("many.service.consul", edns=1232)) == 20
            assert len(shop.answers("many.service.consul", tcp=True)) == 20
            assert "rd" not in shop.ask("many.service.consul", rd=False).flags

    def test_answers_rotate_while_cached(self, shop: Any) -> None:
        # D23: over many answers every instance is first about as often
        for number in range(5):
            shop.service("n2", "five", service_id=f"f{number}", address=f"10.2.0.{number}")
        first = Counter(shop.answers("five.service.consul")[0] for _ in range(3000))
        assert len(first) == 5
        assert min(first.values()) > 350

    def test_new_settings_are_taken_up(self, shop: Any) -> None:
        from meshagent.dns.settings import DnsSettings

        for _ in range(3):
            shop.answers(WEB)
            shop.ask("nope.service.consul")
        shop.responder.reconfigure(DnsSettings(domain="mesh.", service_ttl_s={"*": 9}))
        assert shop.ask(WEB).rcode == "REFUSED"
        assert shop.ask("web.service.mesh").sections["answer"][0].startswith("web.service.mesh. 9 ")
        assert shop.ask("nope.service.mesh").sections["authority"][0].startswith("mesh. 0 IN SOA ns.mesh.")


class TestElsewhere:
    RECURSORS = {"recursors": ("127.0.0.1",)}

    def elsewhere(self, scene: Any, name: str, qtype: str = "A") -> Elsewhere:
        found = scene.reply(question_bytes({"name": name, "type": qtype, "edns": 1232}))
        assert isinstance(found, Elsewhere)
        return found

    @pytest.mark.parametrize(
        ("name", "qtype"), [("www.example.com", "A"), ("9.9.9.9.in-addr.arpa", "PTR"), ("foo.arpa", "NS")]
    )
    def test_names_outside_are_passed_on(self, scene: Any, name: str, qtype: str) -> None:
        # D31, D12
        for _ in range(3):
            assert self.elsewhere(scene(**self.RECURSORS), name, qtype).wants == ()

    def test_known_addresses_are_not_passed_on(self, scene: Any) -> None:
        made = scene(**self.RECURSORS)
        made.node("n1", "10.0.0.1")
        assert len(made.answers("1.0.0.10.in-addr.arpa", "PTR")) == 1

    def test_giving_up_is_servfail(self, scene: Any) -> None:
        made = scene(**self.RECURSORS)
        found = answer_of(b"\x42\x42" + made.responder.gave_up(self.elsewhere(made, "www.example.com")))
        assert (found.rcode, found.flags) == ("SERVFAIL", ["qr", "rd", "ra"])

    @pytest.mark.parametrize("qtype", ["A", "SRV"])
    def test_outside_host_names_are_wanted_and_filled_in(self, scene: Any, qtype: str) -> None:
        # D15
        made = scene(**self.RECURSORS)
        made.node("n1", "10.0.0.1")
        made.service("n1", "ext", address="WWW.example.com", port=1)
        for _ in range(3):
            elsewhere = self.elsewhere(made, "ext.service.consul", qtype)
            assert elsewhere.wants == ("www.example.com",)
        target = wire_name("e.example.com") or b""
        resolved = (
            record(wire_name("www.example.com") or b"", CNAME, 60, target=target),
            address(target, 30, b"\x01\x02\x03\x04"),
        )
        message = made.responder.with_resolved(elsewhere, {"www.example.com": resolved})
        found = answer_of(b"\x42\x42" + message)
        lines = found.sections["answer" if qtype == "A" else "additional"]
        assert lines[-2:] == ["www.example.com. 60 IN CNAME e.example.com.", "e.example.com. 30 IN A 1.2.3.4"]
        assert elsewhere.question.type == (A if qtype == "A" else 33)

    def test_what_cannot_be_resolved_is_left_out(self, scene: Any) -> None:
        made = scene(**self.RECURSORS)
        made.node("n1", "10.0.0.1")
        made.service("n1", "ext", address="www.example.com")
        elsewhere = self.elsewhere(made, "ext.service.consul")
        found = answer_of(b"\x42\x42" + made.responder.with_resolved(elsewhere, {}))
        assert found.sections["answer"] == ["ext.service.consul. 0 IN CNAME www.example.com."]


class TestAnything:
    NAMES = [
        "web.service.consul",
        "n1.node.consul",
        "db.service.consul",
        "1.0.0.10.in-addr.arpa",
        "consul",
        "zork.consul",
    ]

    @settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.data())
    def test_any_datagram_is_answered_or_dropped(self, shop: Any, data: st.DataObject) -> None:
        packet = bytearray(
            question_bytes(
                {
                    "name": data.draw(st.sampled_from(self.NAMES)),
                    "type": data.draw(
                        st.sampled_from(["A", "AAAA", "SRV", "ANY", "TXT", "PTR", "SOA", "NS", "TYPE65280"])
                    ),
                    "edns": 1232,
                    "ecs": "10.0.0.0/8",
                }
            )
        )
        for _ in range(data.draw(st.integers(0, 3))):
            packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 255))
        del packet[data.draw(st.integers(0, len(packet))) :]
        sent = bytes(packet) + data.draw(st.binary(max_size=5))
        for _ in range(3):
            found = shop.reply(sent, tcp=data.draw(st.booleans()))
            if found is None:
                assert len(sent) < 12 or sent[2] & 0x80
            else:
                try:
                    dns.message.from_wire(sent[:2] + found, ignore_trailing=False)
                except dns.exception.FormError as error:
                    # The judge knows no family 0, which dig sends for "no address at all".
                    assert "unsupported family" in str(error)

    @settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.binary(max_size=300))
    def test_noise_too(self, shop: Any, packet: bytes) -> None:
        found = shop.reply(packet)
        assert found is None or isinstance(found, bytes)

    def test_random_names_do_not_fill_the_memory(self, shop: Any) -> None:
        before = len(shop.store.watches)
        for number in range(30_000):
            shop.reply(question_bytes_fast(b"x%d" % number))
        assert cached(shop) == 0
        assert len(shop.store.watches) == before

    def test_malformed_packets_are_counted(self, shop: Any) -> None:
        for packet in (b"", b"\x00" * 12, b"\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01"):
            shop.reply(packet)
        assert shop.responder.malformed == 3


def question_bytes_fast(label: bytes) -> bytes:
    name = bytes((len(label),)) + label + b"\x07service\x06consul\x00"
    return b"\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + name + b"\x00\x01\x00\x01"
