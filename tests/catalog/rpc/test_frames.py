"""Frames: whatever arrives decodes or is refused by name, however it is cut."""

from __future__ import annotations

import struct

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.catalog.rpc import frames
from meshagent.catalog.rpc.frames import MAX_FRAME_BYTES, PREFACE, Frame, FrameReader, decode, encode
from meshagent.errors import LocalProtocolError, RemoteProtocolError

KINDS: tuple[type, ...] = Frame.__args__  # type: ignore[attr-defined]
VALUES = {
    int: st.integers(0, 2**63 - 1),
    str: st.text(max_size=40),
    bytes: st.binary(max_size=200),
}


def built(kind: type) -> st.SearchStrategy[Frame]:
    fields = msgspec.structs.fields(kind)
    return st.builds(kind, *(VALUES[field.type] for field in fields))


any_frame = st.one_of(*(built(kind) for kind in KINDS))


def read(data: bytes, reader: FrameReader | None = None) -> list[Frame]:
    return list((reader or FrameReader()).feed(data))


@given(any_frame)
def test_what_is_encoded_decodes_to_the_same(frame: Frame) -> None:
    assert read(PREFACE + encode(frame)) == [frame]


@given(st.binary(max_size=300))
def test_any_bytes_decode_or_are_refused_by_name(body: bytes) -> None:
    try:
        decode(body)
    except RemoteProtocolError:
        pass


@given(st.lists(st.binary(max_size=80), max_size=8), st.booleans())
def test_any_stream_is_read_or_refused_by_name(pieces: list[bytes], ours: bool) -> None:
    reader = FrameReader(limit=64)
    try:
        for piece in [PREFACE] * ours + pieces:
            read(piece, reader)
            assert reader.kept_bytes <= 64 + 4
    except RemoteProtocolError:
        pass


@given(st.lists(any_frame, min_size=1, max_size=4), st.data())
def test_the_cuts_of_a_stream_do_not_matter(sent: list[Frame], data: st.DataObject) -> None:
    stream = PREFACE + b"".join(map(encode, sent))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    reader = FrameReader()
    got: list[Frame] = []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        got += read(stream[begin:end], reader)
    assert got == sent
    assert reader.kept_bytes == 0


def test_byte_by_byte() -> None:
    sent: list[Frame] = [frames.Ping(7), frames.Request(1, "propose", 7000, b"x" * 70), frames.Goodbye("stopping")]
    reader = FrameReader()
    got = [frame for byte in PREFACE + b"".join(map(encode, sent)) for frame in read(bytes([byte]), reader)]
    assert got == sent


def test_numbers_of_the_types_are_append_only() -> None:
    assert {kind.__name__: kind.__struct_config__.tag for kind in KINDS} == {  # type: ignore[attr-defined]
        "Hello": 1,
        "Request": 2,
        "Response": 3,
        "Error": 4,
        "Cancel": 5,
        "StreamData": 6,
        "StreamEnd": 7,
        "RaftMessage": 8,
        "Ping": 9,
        "Pong": 10,
        "Goodbye": 11,
        "Credit": 12,
    }


def test_fields_of_a_newer_peer_are_ignored() -> None:
    assert decode(msgspec.msgpack.encode([9, 7, "new", {"more": [1]}])) == frames.Ping(7)


def test_a_length_over_the_limit_is_refused_before_its_bytes_come() -> None:
    with pytest.raises(RemoteProtocolError, match=r"frame of 76546049 bytes: the limit is 76546048"):
        read(PREFACE + struct.pack(">I", MAX_FRAME_BYTES + 1))


def test_a_frame_over_the_limit_does_not_leave() -> None:
    with pytest.raises(LocalProtocolError):
        encode(frames.Response(1, bytes(MAX_FRAME_BYTES)))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x91\x63",  # type 99
        b"\x91" * 100_000 + b"\x90",  # nested deeper than anybody would
        b"\x92\x09\xc0",  # a ping without a number
        b"\x92\x0b\xa2\xff\xff",  # a goodbye whose reason is not UTF-8
        b"\x92\x09\x07\x00",  # bytes left over
        b"\xdd\xff\xff\xff\xff",  # an array that claims 4 billion items
        b"\x92\x06\xc6\xff\xff\xff\xff",  # bytes that claim 4 GiB
    ],
)
def test_refused(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="does not decode"):
        decode(body)


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", b"\x16\x03\x01", b"M\x00", b"MSH2", b"\x00"])
def test_another_protocol_is_refused_at_the_first_byte_that_differs(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="does not begin"):
        read(data)
