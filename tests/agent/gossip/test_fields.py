from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.gossip import fields as f
from meshagent.errors import RemoteProtocolError


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "00"),
        (127, "7f"),
        (128, "d10080"),
        (589, "d1024d"),
        (32767, "d17fff"),
        (32768, "d200008000"),
        (2**31, "d30000000080000000"),
        (-1, "d1ffff"),
    ],
)
def test_signed_integers_as_current_peers_write_them(value: int, shown: str) -> None:
    assert f.signed(value).hex() == shown
    assert f.read_value(f.signed(value)) == value


def test_a_number_too_large_is_our_error() -> None:
    with pytest.raises(ValueError, match="int64"):
        f.signed(2**63)


@pytest.mark.parametrize(("size", "head"), [(31, "bf"), (32, "da0020"), (255, "da00ff"), (70_000, "db00011170")])
def test_text_and_bytes_in_the_old_dialect(size: int, head: str) -> None:
    assert f.pack("x" * size).hex().startswith(head)
    assert f.pack(b"x" * size) == f.pack("x" * size)


def read(value: Any) -> f.Fields:
    return f.read_map(msgpack.packb(value))


def test_what_peers_forgive_we_forgive() -> None:
    known = read({"A": "text", "B": b"bytes", "C": None, "D": [1, 2, 255], "Other": {"x": [1.5]}})
    assert f.text(known, b"A") == "text"
    assert f.raw(known, b"A") == b"text"
    assert f.text(known, b"B") == "bytes"
    assert f.raw(known, b"D") == b"\1\2\xff"
    for key in (b"C", b"Missing"):
        assert (f.text(known, key), f.raw(known, key), f.u32(known, key), f.flag(known, key)) == ("", b"", 0, False)
    assert f.read_map(f.pack({b"A": 1}) + b"rest") == {b"A": 1}
    assert f.read_map(b"\xc0") == {}
    assert f.read_map(f.pack([5, "x"]), (b"SeqNo", b"Node")) == {b"SeqNo": 5, b"Node": b"x"}


@pytest.mark.parametrize(
    ("take", "value", "why"),
    [
        (f.text, 5, "A: text was due, not int"),
        (f.text, b"\xff", "A: not UTF-8"),
        (f.raw, [256], "A: bytes was due"),
        (f.raw, [True], "A: bytes was due"),
        (f.u8, 256, "A: 256 is out of range"),
        (f.u16, 65536, "out of range"),
        (f.u32, 2**32, "out of range"),
        (f.u32, -1, "out of range"),
        (f.u64, -1, "out of range"),
        (f.i64, 2**63, "out of range"),
        (f.u32, 5.0, "an integer was due, not float"),
        (f.u32, True, "an integer was due, not bool"),
        (f.flag, 1, "a boolean was due, not int"),
    ],
)
def test_what_does_not_fit_names_its_field(take: Any, value: Any, why: str) -> None:
    with pytest.raises(RemoteProtocolError, match=why):
        take(read({"A": value}), b"A")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x81",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xdc\x04\x01" + b"\xc0" * 1025,
        b"\xdb\xff\xff\xff\xff",
        b"\x91" * 100_000,
        b"\x81\x81\xc0\xc0\xc0",
        b"\xc1",
        b"\x93\1\2\3",
    ],
)
def test_hostile_bytes_are_refused_before_they_cost(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        f.read_map(data)


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_are_refused(data: bytes) -> None:
    try:
        f.read_map(data)
    except RemoteProtocolError:
        pass
