"""PROXY headers of both versions."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.connect.proxy.layers.proxy_header import MAX_BYTES, VERSIONS, Header, decode, encode
from meshagent.errors import RemoteProtocolError

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
FOUR = ("192.0.2.1", 40000), ("10.0.0.9", 443)
ports = st.integers(0, 65535)
v4, v6 = st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(str)


def test_the_examples_of_the_specification() -> None:
    assert encode("v1", *FOUR) == b"PROXY TCP4 192.0.2.1 10.0.0.9 40000 443\r\n"
    assert encode("v2", *FOUR) == SIGNATURE + bytes.fromhex("2111000cc00002010a0000099c4001bb")
    worst = b"PROXY UNKNOWN " + b" ".join([b"ffff:" * 7 + b"ffff"] * 2) + b" 65535 65535\r\n"
    assert len(worst) == 107
    assert decode(worst) == Header(107)


@given(st.sampled_from(VERSIONS), st.one_of(st.tuples(v4, v4), st.tuples(v6, v6)), ports, ports, st.binary(max_size=9))
def test_what_is_written_is_read(version: str, pair: tuple[str, str], one: int, two: int, rest: bytes) -> None:
    source, destination = (pair[0], one), (pair[1], two)
    data = encode(version, source, destination)
    found = decode(data + rest)
    assert found is not None
    assert found.size == len(data)
    mapped = any(address.startswith("::ffff:") for address in pair)
    if not mapped:
        assert (found.source, found.destination) == (source, destination)
    for end in range(1, len(data)):
        assert decode(data[:end]) is None


@pytest.mark.parametrize("version", VERSIONS)
def test_without_addresses_of_one_family_nothing_is_said(version: str) -> None:
    for given_ in ((None, None), (("::1", 1), ("127.0.0.1", 2))):
        data = encode(version, *given_)  # type: ignore[arg-type]
        assert decode(data) == Header(len(data))
    mapped = encode(version, ("::ffff:192.0.2.1", 40000), ("10.0.0.9", 443))
    assert mapped == encode(version, *FOUR)
    assert encode(version, ("fe80::1%eth0", 1), ("fe80::2", 2)) == encode(version, ("fe80::1", 1), ("fe80::2", 2))


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01",
        b"PROXY TCP4 192.0.2.1 10.0.0.9 40000\r\n",
        b"PROXY TCP4 192.0.2.1 10.0.0.9 40000 443 1\r\n",
        b"PROXY TCP4 ::1 ::1 1 2\r\n",
        b"PROXY TCP6 1.1.1.1 1.1.1.1 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 10.0.0.9 70000 443\r\n",
        b"PROXY TCP4 192.0.2.1 10.0.0.9 -1 443\r\n",
        b"PROXY TCP4 192.0.2.1 10.0.0.9 04 443\r\n",
        b"PROXY UDP4 192.0.2.1 10.0.0.9 4 443\r\n",
        b"PROXY \r\n",
        b"PROXY " + b"x" * 101,
        SIGNATURE + bytes.fromhex("11110000"),
        SIGNATURE + bytes.fromhex("22110000"),
        SIGNATURE + bytes.fromhex("2111000b") + bytes(11),
        SIGNATURE + b"\x21\x11" + struct.pack("!H", MAX_BYTES),
    ],
)
def test_what_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode(data)


def test_additional_fields_and_other_families_are_passed_over() -> None:
    fields = b"\x02\x00\x03abc"
    data = SIGNATURE + b"\x21\x11" + struct.pack("!H", 12 + len(fields)) + bytes(8) + b"\0\1\0\2" + fields
    assert decode(data + b"x") == Header(len(data), ("0.0.0.0", 1), ("0.0.0.0", 2))
    unix = SIGNATURE + b"\x21\x31" + struct.pack("!H", 216) + bytes(216)
    assert decode(unix) == Header(len(unix))


@given(st.one_of(st.binary(max_size=120), st.binary(max_size=60).map(lambda data: SIGNATURE + data),
                 st.binary(max_size=110).map(lambda data: b"PROXY " + data)))  # fmt: skip
def test_any_bytes_are_a_header_or_waited_for_or_refused(data: bytes) -> None:
    try:
        found = decode(data)
    except RemoteProtocolError:
        return
    assert found is None or found.size <= len(data)
    assert found is not None or len(data) < MAX_BYTES
