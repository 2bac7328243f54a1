"""Bytes of messages; dnspython reads what we write, and writes what we read."""

from __future__ import annotations

import base64
import ipaddress
import json
from pathlib import Path

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rdatatype
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from meshagent.dns import wire
from meshagent.dns.wire import (
    QUESTION_OWNER,
    ZONE_OWNER,
    Dropped,
    Malformed,
    Question,
    address,
    encode,
    packed_address,
    parse_question,
    record,
    text_of_name,
    txt,
    wire_name,
)
from meshagent.errors import RemoteProtocolError

ZONE = b"\x06consul\x00"
GOLDEN = Path(__file__).parents[1] / "data" / "golden" / "dns" / "dns-malformed.json"
RAW = [
    base64.b64decode(step["request"]["dns"]["raw"])
    for step in json.loads(GOLDEN.read_text())["steps"]
    if "raw" in step["request"].get("dns", {})
]


def query(name: str, qtype: str = "A", **edns: object) -> bytes:
    made = dns.message.make_query(name, qtype, id=7)
    if edns:
        made.use_edns(**edns)
    return made.to_wire()


def question(name: str = "db.service.consul", qtype: str = "A", **edns: object) -> Question:
    return parse_question(query(name, qtype, **edns))


def read(message: bytes) -> dns.message.Message:
    return dns.message.from_wire(b"\x00\x07" + message, one_rr_per_rrset=True)


def lines(section: list[dns.rrset.RRset]) -> list[str]:
    return [str(rrset) for rrset in section]


class TestQuestions:
    def test_a_plain_one(self) -> None:
        found = question("DB.Service.consul", "SRV")
        assert (found.text, found.type, found.cls, found.plain) == ("db.service.consul", wire.SRV, wire.IN, True)
        assert found.name == b"\x02DB\x07Service\x06consul\x00"
        assert (found.edns, found.udp_size) == (b"", 512)

    def test_the_root(self) -> None:
        assert question(".", "NS").text == ""

    @pytest.mark.parametrize("name", [r"sp\032ace.consul", r"a\.b.consul", r"\195\164.consul", r"a\000.consul"])
    def test_odd_characters_are_noticed(self, name: str) -> None:
        assert not question(name).plain

    def test_underscores_and_dashes_are_plain(self) -> None:
        assert question("_a-b._tcp.x_1.consul").plain

    def test_edns_goes_back_with_its_size_but_without_do(self) -> None:
        # D25; the DO bit is not echoed (step 213 of dns-names), version 1 is accepted (D34).
        found = question(edns=1, ednsflags=dns.flags.DO, payload=1232)
        assert found.udp_size == 1232
        assert found.edns == b"\x00\x00\x29\x04\xd0" + bytes(6)

    def test_small_sizes_count_as_512(self) -> None:
        assert question(edns=0, payload=100).udp_size == 512

    def test_client_subnet_goes_back_with_scope_0(self) -> None:
        found = question(edns=0, payload=1232, options=[dns.edns.ECSOption("192.0.2.0", 24, 16)])
        message = read(encode(0x8400, found, ZONE, ()))
        assert [str(option) for option in message.options] == ["ECS 192.0.2.0/24 scope/0"]

    def test_reply_flags_keep_rd_and_cd_of_a_query_only(self) -> None:
        packet = bytearray(query("a.consul"))
        packet[2:4] = b"\x01\x10"
        assert parse_question(bytes(packet)).reply_flags == 0x8110
        packet[2:4] = b"\x21\x10"  # NOTIFY
        assert parse_question(bytes(packet)).reply_flags == 0xA000

    @pytest.mark.parametrize("packet", [b"", b"\x00", bytes(11), b"\x00\x07\x81\x00" + bytes(8)])
    def test_no_reply(self, packet: bytes) -> None:
        with pytest.raises(Dropped):
            parse_question(packet)

    @pytest.mark.parametrize(
        ("change", "flags"),
        [
            ({2: 0x10}, 0x9004),  # STATUS: NOTIMP with its opcode
            ({2: 0x07}, 0x8301),  # FORMERR below keeps TC and RD, drops AA
            ({12: 0xC0, 13: 0x0C, 2: 0x01}, 0x8101),  # a pointer to itself
            ({12: 0x80, 2: 0x01}, 0x8101),  # a reserved label type
            ({5: 2, 2: 0x01}, 0x8101),  # two questions
            ({7: 2, 2: 0x01}, 0x8101),  # two answers
            ({11: 3, 2: 0x01}, 0x8101),  # three additional records
        ],
    )
    def test_refused_with_a_header(self, change: dict[int, int], flags: int) -> None:
        packet = bytearray(query("a.consul"))
        for at, value in change.items():
            packet[at] = value
        if flags == 0x8301:
            packet = packet[:14]
        with pytest.raises(Malformed) as caught:
            parse_question(bytes(packet))
        assert caught.value.reply == flags.to_bytes(2, "big") + bytes(8)

    def test_a_name_longer_than_255_bytes(self) -> None:
        header = query("a.consul")[:12]
        with pytest.raises(Malformed):
            parse_question(header + 5 * (b"\x3f" + 63 * b"a") + b"\x00\x00\x01\x00\x01")

    @given(st.binary(max_size=120) | st.binary(max_size=120).map(lambda rest: query("db.consul")[:10] + rest))
    @example(RAW[0])
    def test_any_bytes_parse_or_raise(self, packet: bytes) -> None:
        try:
            found = parse_question(packet)
        except Malformed as error:
            assert len(error.reply) == 10
        except Dropped:
            pass
        else:
            assert found.raw == packet[12 : 12 + len(found.raw)]
            assert 512 <= found.udp_size <= 65535

    @given(st.data())
    def test_any_change_of_a_query_with_options_parses_or_raises(self, data: st.DataObject) -> None:
        packet = bytearray(query("db.service.consul", edns=0, options=[dns.edns.ECSOption("10.0.0.0", 8)]))
        for _ in range(data.draw(st.integers(1, 4))):
            packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 255))
        del packet[data.draw(st.integers(0, len(packet))) :]
        try:
            parse_question(bytes(packet))
        except RemoteProtocolError:
            pass

    @pytest.mark.parametrize("packet", RAW)
    def test_recorded_packets(self, packet: bytes) -> None:
        try:
            parse_question(packet)
        except RemoteProtocolError:
            pass


class TestAnswers:
    def test_every_kind_of_record(self) -> None:
        asked = question()
        target = b"\x02n1\x04node\x03dc1\x06consul\x00"
        message = encode(
            0x8400,
            asked,
            ZONE,
            [
                record(QUESTION_OWNER, wire.SRV, 5, b"\x00\x01\x00\x02\x00\x50", target, False),
                record(QUESTION_OWNER, wire.CNAME, 5, target=target),
                address(QUESTION_OWNER, 5, b"\x0a\x00\x00\x01"),
                txt(QUESTION_OWNER, 5, "k=v"),
            ],
            [wire.soa(ZONE_OWNER, 9, (1, 2, 3, 4, 5)), record(ZONE_OWNER, wire.NS, 9, target=target)],
            [address(target, 5, bytes(15) + b"\x01")],
        )
        parsed = read(message)
        assert lines(parsed.answer) == [
            "db.service.consul. 5 IN SRV 1 2 80 n1.node.dc1.consul.",
            "db.service.consul. 5 IN CNAME n1.node.dc1.consul.",
            "db.service.consul. 5 IN A 10.0.0.1",
            'db.service.consul. 5 IN TXT "k=v"',
        ]
        assert lines(parsed.authority) == [
            "consul. 9 IN SOA ns.consul. hostmaster.consul. 1 2 3 4 5",
            "consul. 9 IN NS n1.node.dc1.consul.",
        ]
        assert lines(parsed.additional) == ["n1.node.dc1.consul. 5 IN AAAA ::1"]

    def test_uncompressed_says_the_same(self) -> None:
        asked = question("n1.node.consul", "NS")
        parts = (
            [record(ZONE_OWNER, wire.NS, 0, target=b"\x02n1\x04node\x06consul\x00")],
            [wire.soa(ZONE_OWNER, 0, (1,) * 5)],
        )
        short = encode(0x8400, asked, ZONE, *parts)
        long = encode(0x8400, asked, ZONE, *parts, compress=False)
        assert len(short) < len(long)
        assert b"\xc0" not in long
        for section in ("answer", "authority"):
            assert lines(getattr(read(short), section)) == lines(getattr(read(long), section))

    def test_the_zone_is_spelt_as_in_the_question(self) -> None:
        message = read(encode(0x8403, question("x.CONSUL"), ZONE, (), [wire.soa(ZONE_OWNER, 0, (1,) * 5)]))
        assert lines(message.authority) == ["CONSUL. 0 IN SOA ns.CONSUL. hostmaster.CONSUL. 1 1 1 1 1"]

    def test_names_beyond_the_reach_of_pointers_are_spelt_out(self) -> None:
        asked = question()
        owners = [b"\x05n%04d\x06consul\x00" % number for number in range(1200)]
        message = encode(0x8400, asked, ZONE, [address(owner, 0, bytes(4)) for owner in owners for _ in range(2)])
        assert len(message) > wire.MAX_POINTER
        assert [rr.name.to_wire() for rr in read(message).answer] == [owner for owner in owners for _ in range(2)]

    def test_long_texts_become_several_strings(self) -> None:
        parsed = read(encode(0x8400, question(), ZONE, [txt(QUESTION_OWNER, 0, "x" * 300), txt(QUESTION_OWNER, 0, "")]))
        assert [[len(s) for s in rrset[0].strings] for rrset in parsed.answer] == [[255, 45], [0]]

    NAME = st.lists(st.text("abcXYZ019-_", min_size=1, max_size=12), min_size=0, max_size=6).map(".".join)
    RECORD = st.tuples(NAME, st.sampled_from(["A", "AAAA", "CNAME", "SRV", "TXT"]), NAME, st.integers(0, 2**31 - 1))

    @given(NAME, st.lists(RECORD, max_size=12), st.booleans())
    def test_what_is_written_is_read(self, name: str, rows: list[tuple[str, str, str, int]], compress: bool) -> None:
        records, expected = [], []
        for owner_text, kind, target_text, ttl in rows:
            owner = wire_name(owner_text) or b"\x00"
            target = wire_name(target_text) or b"\x00"
            shown = dns.name.from_wire(owner, 0)[0]
            if kind in ("A", "AAAA"):
                packed = bytes(range(4 if kind == "A" else 16))
                records.append(address(owner, ttl, packed))
                expected.append(f"{shown} {ttl} IN {kind} {ipaddress.ip_address(packed)}")
            elif kind == "TXT":
                records.append(txt(owner, ttl, target_text))
                expected.append(f'{shown} {ttl} IN TXT "{target_text}"')
            else:
                srv = kind == "SRV"
                data = b"\x00\x01\x00\x02\x00\x03" if srv else b""
                rtype = wire.SRV if srv else wire.CNAME
                records.append(record(owner, rtype, ttl, data, target, not srv))
                middle = "SRV 1 2 3" if srv else "CNAME"
                expected.append(f"{shown} {ttl} IN {middle} {dns.name.from_wire(target, 0)[0]}")
        message = read(encode(0x8400, question(name or "."), ZONE, records, compress=compress))
        assert lines(message.answer) == expected


class TestValues:
    @pytest.mark.parametrize(
        ("text", "packed"),
        [
            ("10.0.0.1", b"\x0a\x00\x00\x01"),
            ("::ffff:10.0.0.1", b"\x0a\x00\x00\x01"),
            ("fd00::1", bytes.fromhex("fd000000000000000000000000000001")),
            ("fe80::1%eth0", None),
            ("010.0.0.1", None),
            ("www.example.com", None),
            ("", None),
        ],
    )
    def test_addresses(self, text: str, packed: bytes | None) -> None:
        assert packed_address(text) == packed

    @pytest.mark.parametrize("text", ["a..b", "x" * 64, ".".join(["x" * 60] * 5)])
    def test_impossible_names(self, text: str) -> None:
        assert wire_name(text) is None

    def test_names_there_and_back(self) -> None:
        assert wire_name("") == wire_name(".") == b"\x00"
        assert wire_name("a.Bc.") == b"\x01a\x02Bc\x00"
        assert text_of_name(b"\x01a\x02Bc\x00") == "a.Bc."


class TestOtherServers:
    QUERY = query("www.example.com")

    def reply(self, **change: object) -> bytes:
        made = dns.message.make_response(dns.message.from_wire(self.QUERY))
        made.answer.append(dns.rrset.from_text("www.example.com.", 60, "IN", "CNAME", "e.example.com."))
        made.answer.append(dns.rrset.from_text("e.example.com.", 30, "IN", "A", "192.0.2.1", "192.0.2.2"))
        made.answer.append(dns.rrset.from_text("e.example.com.", 30, "IN", "MX", "1 mx.example.com."))
        return made.to_wire()

    def test_a_reply_is_known_by_id_and_question(self) -> None:
        assert wire.parse_reply(self.reply(), self.QUERY) == 0x8100

    @pytest.mark.parametrize(
        ("at", "value"),
        [(0, 0xFF), (1, 0xFF), (2, 0x01), (2, 0xA1), (13, ord("x")), (5, 0), (5, 2)],
        ids=["id", "id low", "not a reply", "opcode", "name", "no question", "two questions"],
    )
    def test_what_does_not_fit_is_no_reply(self, at: int, value: int) -> None:
        forged = bytearray(self.reply())
        forged[at] = value
        assert wire.parse_reply(bytes(forged), self.QUERY) is None

    def test_an_error_may_come_without_the_question(self) -> None:
        assert wire.parse_reply(self.QUERY[:2] + b"\x81\x01" + bytes(8), self.QUERY) == 0x8101

    def test_the_case_of_the_question_may_change(self) -> None:
        assert wire.parse_reply(self.reply().replace(b"www", b"WWW"), self.QUERY) == 0x8100

    def test_records_of_the_wanted_types(self) -> None:
        found = wire.decode_records(self.reply(), (wire.A, wire.CNAME))
        asked = question("alias.consul")
        assert sorted(lines(read(encode(0x8400, asked, ZONE, found)).answer)) == [
            "e.example.com. 30 IN A 192.0.2.1",
            "e.example.com. 30 IN A 192.0.2.2",
            "www.example.com. 60 IN CNAME e.example.com.",
        ]

    @given(st.binary(max_size=200), st.integers(0, 90), st.booleans())
    def test_any_bytes_decode_or_raise(self, junk: bytes, cut: int, whole: bool) -> None:
        data = junk if whole else self.reply()[:cut] + junk
        wire.parse_reply(data, self.QUERY)
        try:
            wire.decode_records(data, (wire.A, wire.AAAA, wire.CNAME))
        except RemoteProtocolError:
            pass

    def test_compression_loops_end(self) -> None:
        loop = bytearray(self.reply())
        at = loop.index(b"\xc0\x0c", 12)
        loop[at : at + 2] = (0xC000 | at).to_bytes(2, "big")
        with pytest.raises(RemoteProtocolError):
            wire.decode_records(bytes(loop), (wire.A, wire.CNAME))


@pytest.mark.parametrize(
    "option",
    [
        b"\x00\x01\x08\x00\x0a\x00\x00",  # three bytes for a prefix of eight bits
        b"\x00\x01\x18\x00\x0a",  # one byte for twenty-four
        b"\x00\x01\x0c\x00\x0a\x11",  # bits behind the twelfth
        b"\x00\x00\x08\x00\x0a",  # no family, and yet a prefix
        b"\x00\x01\x21\x00\x0a\x00\x00\x00\x00",  # more bits than an address has
    ],
)
def test_a_client_subnet_has_exactly_the_bytes_of_its_prefix(option: bytes) -> None:
    """RFC 7871 section 6; surface row D26."""
    with pytest.raises(ValueError):
        wire._echoed_subnet(b"\x00\x08" + len(option).to_bytes(2, "big") + option)
