import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.gossip import gomsgpack as go
from meshagent.errors import RemoteProtocolError


@pytest.mark.parametrize(
    ("value", "bytes_"),
    [
        ("a" * 31, b"\xbf" + b"a" * 31),
        ("a" * 32, b"\xda\x00\x20" + b"a" * 32),
        (b"a" * 255, b"\xda\x00\xff" + b"a" * 255),
        (128, b"\xcc\x80"),
        (1.0, b"\xcb\x3f\xf0" + bytes(6)),
        (None, b"\xc0"),
        ({"A": [], "B": True}, b"\x82\xa1A\x90\xa1B\xc3"),
    ],
)
def test_writing_keeps_to_the_old_specification(value: object, bytes_: bytes) -> None:
    assert go.pack(value) == bytes_


def test_reading_takes_both_specifications() -> None:
    for name in (b"\xa4Node", b"\xd9\x04Node"):
        for value in (b"\xa3abc", b"\xc4\x03abc", b"\xd9\x03abc", b"\x93\x61\x62\x63"):
            fields, _ = go.unpack_map(b"\x81" + name + value)
            assert go.raw(fields, b"Node") == b"abc"
            assert go.text(fields, b"Node") == "abc"


def test_what_follows_is_left_alone() -> None:
    assert go.unpack_map(b"\x81\xa1A\x01rest") == ({b"A": 1}, 4)


def test_the_last_of_a_repeated_key_counts_and_unknown_keys_do_not() -> None:
    fields, _ = go.unpack_map(b"\x83\xa1A\x05\xa1A\x06\xa1Z\x93\x01\x02\x03")
    assert go.unsigned(fields, b"A", 32) == 6


def test_missing_and_nil_are_zero() -> None:
    for fields in ({}, dict.fromkeys([b"A"])):
        assert go.raw(fields, b"A") == b""
        assert go.raw_or_none(fields, b"A") is None
        assert go.text(fields, b"A") == ""
        assert go.unsigned(fields, b"A", 8) == go.signed(fields, b"A") == 0
        assert go.flag(fields, b"A") is False
        assert go.real(fields, b"A") == 0.0
        assert go.listing(fields, b"A") == []
        assert go.mapping(fields, b"A") == {}


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (lambda fields: go.unsigned(fields, b"A", 8), 256),
        (lambda fields: go.unsigned(fields, b"A", 32), -1),
        (lambda fields: go.unsigned(fields, b"A", 32), 1.0),
        (lambda fields: go.unsigned(fields, b"A", 32), True),
        (lambda fields: go.signed(fields, b"A"), 2**63),
        (lambda fields: go.text(fields, b"A"), 9),
        (lambda fields: go.text(fields, b"A"), b"\xff"),
        (lambda fields: go.raw(fields, b"A"), [300]),
        (lambda fields: go.raw(fields, b"A"), [b"x"]),
        (lambda fields: go.raw(fields, b"A"), {}),
        (lambda fields: go.flag(fields, b"A"), 1),
        (lambda fields: go.real(fields, b"A"), b"1"),
        (lambda fields: go.listing(fields, b"A"), {}),
        (lambda fields: go.mapping(fields, b"A"), []),
    ],
)
def test_a_value_that_does_not_fit_refuses_the_message(read, value) -> None:
    with pytest.raises(RemoteProtocolError):
        read({b"A": value})


@pytest.mark.parametrize(
    "data", [b"", b"\xc1", b"\x81", b"\x90", b"\xdf\xff\xff\xff\xff", b"\x81\x90\x01", b"\x91" * 9000]
)
def test_broken_messages(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        go.unpack_map(data)


@given(st.binary(max_size=300))
def test_any_bytes_are_an_object_or_refused(data: bytes) -> None:
    try:
        _, end = go.unpack(data)
    except RemoteProtocolError:
        return
    assert 0 < end <= len(data)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.binary(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_what_is_written_is_read(value: object) -> None:
    assert go.unpack(go.pack(value))[0] == value
    assert go.unpack(msgpack.packb(value))[0] == value
