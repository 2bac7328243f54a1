from __future__ import annotations

import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meshtest.gossipgolden import MESSAGES, REACTIONS, Ring, codec_for, layers

from meshagent.agent.gossip.drops import Drop, Dropped, reason_of
from meshagent.agent.gossip.packet import PACKET_BYTES, PacketCodec, compress, encode_compound
from meshagent.agent.gossip.seal import Seal
from meshagent.errors import RemoteProtocolError

PACKETS = [row for row in MESSAGES if row["transport"] == "udp"]
READABLE = [row for row in PACKETS if "unreadable" not in str(row["decoded"])]


def test_every_captured_packet_is_written_as_it_was_read() -> None:
    assert len(READABLE) > 200
    for row in READABLE:
        codec, data = codec_for(row), bytes.fromhex(row["hex"])
        messages, cut = codec.decode(data)
        assert not cut, row["name"]
        assert codec.encode(messages, crc="hasCrc" in layers(row["decoded"])) == [data], row["name"]


def test_what_is_sealed_with_another_key_is_refused() -> None:
    unreadable = [row for row in PACKETS if row not in READABLE]
    for row in unreadable:
        codec = PacketCodec(Seal(Ring(b"k" * 16), lambda: b"n" * 12))
        with pytest.raises(Dropped) as refused:
            codec.decode(bytes.fromhex(row["hex"]))
        assert refused.value.drop in (Drop.DECRYPT, Drop.PLAIN)


@pytest.mark.parametrize("row", [row for row in REACTIONS if row["transport"] == "udp"], ids=lambda row: row["name"])
def test_what_live_peers_leave_unread_we_leave_unread(row: dict[str, Any]) -> None:
    """Layers only: a message may still be refused for what it says (test_swim.py plays the whole table)."""
    codec = codec_for(row)
    try:
        read = bool(codec.decode(bytes.fromhex(row["hex"]))[0])
    except RemoteProtocolError:
        read = False
    if set(row["reaction"].values()) != {"silence"}:
        assert read


SEALED = PacketCodec(Seal(Ring(b"k" * 32, b"o" * 16), lambda: b"n" * 12), label="blue")


@pytest.mark.parametrize(
    ("codec", "packet", "why"),
    [
        (PacketCodec(), b"", Drop.MALFORMED),
        (PacketCodec(), b"\xf4\x04blue\x00\x80", Drop.LABEL),
        (PacketCodec(label="blue"), b"\x00\x80", Drop.LABEL),
        (PacketCodec(label="blue"), b"\xf4\x03red\x00\x80", Drop.LABEL),
        (PacketCodec(), b"\x0c\0\0\0\0\x00\x80", Drop.CHECKSUM),
        (PacketCodec(), b"\x0c\0", Drop.CHECKSUM),
        (PacketCodec(), b"\x07", Drop.MALFORMED),
        (PacketCodec(), b"\x07\x05\0\0", Drop.MALFORMED),
        (PacketCodec(), b"\x09\x82\xa4Algo\x01\xa3Buf\xa0", Drop.MALFORMED),
        (SEALED, SEALED.label_header + b"\x00\x80" * 20, Drop.DECRYPT),
        (SEALED, SEALED.label_header + b"\x01\x80", Drop.PLAIN),
        (SEALED, SEALED.label_header + b"\x0a" + b"\x80" * 40, Drop.PLAIN),
        (SEALED, SEALED.encode([b"\x00\x80"])[0][6:], Drop.LABEL),
        (PacketCodec(SEALED.seal), SEALED.encode([b"\x00\x80"])[0][6:], Drop.DECRYPT),
    ],
)
def test_a_bad_layer_is_dropped_under_its_word(codec: PacketCodec, packet: bytes, why: Drop) -> None:
    with pytest.raises(RemoteProtocolError) as refused:
        codec.decode(packet)
    assert reason_of(refused.value) is why


def test_whole_parts_of_a_cut_compound_are_used() -> None:
    packet = encode_compound([b"\x02abc", b"\x03def"])
    assert PacketCodec().decode(packet[:-1]) == ([b"\x02abc"], 1)


def test_a_bad_part_drops_only_itself() -> None:
    inner = b"\x09\x81\xa3Buf\xa0"
    assert PacketCodec().decode(encode_compound([inner, b"\x03def", b""])) == ([b"\x03def"], 2)


def test_a_crc_below_the_first_layer_is_a_message_like_others() -> None:
    ping = b"\x00\x80"
    checked = b"\x0c" + zlib.crc32(ping).to_bytes(4, "big") + ping
    assert PacketCodec().decode(encode_compound([checked])) == ([checked], 0)


def test_bombs_are_refused() -> None:
    codec = PacketCodec()
    bomb = compress(b"\x08" + b"\0" * 65536)
    with pytest.raises(RemoteProtocolError, match="more than 65536"):
        codec.decode(bomb)
    half = compress(b"\x08" + b"\0" * 40_000)
    messages, dropped = codec.decode(encode_compound([half, half]))
    assert (len(messages), dropped) == (1, 1)


def test_nesting_has_an_end() -> None:
    packet = b"\x02x"
    for _ in range(9):
        packet = encode_compound([packet])
    assert PacketCodec().decode(packet) == ([], 1)


def test_compression_keeps_what_is_shorter() -> None:
    codec = PacketCodec(compression=True)
    long, short = b"\x08" + b"a" * 200, b"\x02\x80"
    assert len(codec.encode([long])[0]) < len(long)
    assert codec.encode([short]) == [short]
    assert codec.decode(codec.encode([long])[0]) == ([long], 0)


def test_a_full_packet_fits() -> None:
    for codec in (PacketCodec(), SEALED, PacketCodec(Seal(Ring(b"k" * 16), lambda: b"n" * 12, crypto_version=0))):
        [packet] = codec.encode([b"\x08" + b"x" * 9, b"\x08" + b"x" * (codec.room() - 10 - 5)])
        assert PACKET_BYTES - 16 < len(packet) <= PACKET_BYTES


def test_more_than_255_messages_take_several_packets() -> None:
    packets = PacketCodec().encode([b"\x02"] * 300)
    assert [len(PacketCodec().decode(packet)[0]) for packet in packets] == [255, 45]


def test_while_moving_to_encryption_plain_packets_are_taken() -> None:
    sender = PacketCodec(SEALED.seal, verify_outgoing=False)
    assert sender.encode([b"\x02\x80"]) == [b"\x02\x80"]
    taker = PacketCodec(SEALED.seal, verify_incoming=False)
    assert taker.decode(b"\x02\x80") == ([b"\x02\x80"], 0)
    assert taker.decode(taker.encode([b"\x02\x80"])[0]) == ([b"\x02\x80"], 0)


def test_a_label_too_long_is_our_error() -> None:
    with pytest.raises(ValueError, match="label"):
        PacketCodec(label="x" * 256)


@given(st.binary(max_size=300), st.booleans(), st.booleans())
def test_any_bytes_decode_or_are_refused(data: bytes, sealed: bool, labelled: bool) -> None:
    try:
        PacketCodec(SEALED.seal if sealed else None, label="blue" if labelled else "").decode(data)
    except RemoteProtocolError:
        pass


@given(st.sampled_from(READABLE), st.data())
def test_mutated_captures_decode_or_are_refused(row: dict[str, Any], data: st.DataObject) -> None:
    packet = bytearray.fromhex(row["hex"])
    for _ in range(data.draw(st.integers(1, 4))):
        packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 255))
    try:
        codec_for(row).decode(bytes(packet))
    except RemoteProtocolError:
        pass
