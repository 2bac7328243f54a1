"""The server name of a TLS client: OpenSSL's own bytes, every way of cutting them, and anything else."""

from __future__ import annotations

import functools
import ssl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshagent.connect.proxy.layers.client_hello import MAX_HELLO_BYTES, server_name
from meshagent.errors import RemoteProtocolError

NAME = "v1.api.default.dc2.internal.11111111-2222-3333-4444-555555555555.consul"


@functools.cache
def hello(name: str | None) -> bytes:
    """What OpenSSL says first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    out = ssl.MemoryBIO()
    connection = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    return out.read()


def in_records(data: bytes, size: int) -> bytes:
    """The same handshake message in records of `size` bytes."""
    body = data[5:]
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"\x16\x03\x01" + len(piece).to_bytes(2, "big") + piece for piece in pieces)


@pytest.mark.parametrize("name", [NAME, "a", "API.Example.COM"])
def test_the_name_is_found(name: str) -> None:
    assert server_name(hello(name)) == name.lower()


def test_a_client_without_a_name_has_none() -> None:
    assert server_name(hello(None)) == ""


def test_every_beginning_waits_for_more() -> None:
    data = hello(NAME)
    assert [server_name(data[:size]) for size in range(len(data))] == [None] * len(data)
    assert server_name(data + b"more") == NAME


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_a_hello_over_several_records(size: int) -> None:
    data = in_records(hello(NAME), size)
    assert server_name(data) == NAME
    assert server_name(data[:-1]) is None


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"GET / HTTP/1.1\r\n", "does not speak TLS"),
        (b"\x16\x02\x01", "does not speak TLS"),
        (b"\x16\x03\x01\x00\x01\x02", "ClientHello"),
        (b"\x16\x03\x01\x00\x00", "empty"),
        (b"\x16\x03\x01\x00\x04\x01\xff\xff\xff", "longer than"),
        (b"\x16\x03\x01\x00\x06\x01\x00\x00\x02\x03\x03", "in the middle"),
    ],
)
def test_what_is_no_hello_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(RemoteProtocolError, match=said):
        server_name(data)


def test_nobody_is_heard_for_ever() -> None:
    data = in_records(b"xxxxx" + b"\x01" + (MAX_HELLO_BYTES).to_bytes(3, "big") + b"\0" * MAX_HELLO_BYTES, 1)
    with pytest.raises(RemoteProtocolError, match="longer than"):
        server_name(data[: MAX_HELLO_BYTES + 6])


@given(st.binary(max_size=600))
def test_any_bytes_give_a_name_or_are_refused(data: bytes) -> None:
    for given_ in (data, b"\x16\x03\x01" + len(data).to_bytes(2, "big") + data):
        try:
            found = server_name(given_)
        except RemoteProtocolError:
            continue
        assert found is None or found.isascii()


@settings(max_examples=200)
@given(st.integers(0, 400), st.integers(0, 255))
def test_a_hello_with_one_byte_changed(at: int, value: int) -> None:
    data = bytearray(hello(NAME))
    data[at % len(data)] = value
    try:
        found = server_name(bytes(data))
    except RemoteProtocolError:
        return
    assert found is None or len(found) <= 255
