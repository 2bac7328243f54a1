"""What the kernel says of a redirected connection; the option itself is asked in tests/interop/test_transparent.py."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.connect.proxy.original_destination import original_destination, parse_address
from meshagent.errors import RemoteProtocolError


def four(address: str, port: int) -> bytes:
    return struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_aton(address) + bytes(8)


def six(address: str, port: int) -> bytes:
    packed = socket.inet_pton(socket.AF_INET6, address)
    return struct.pack("=H", socket.AF_INET6) + struct.pack("!HI", port, 0) + packed + bytes(4)


def test_addresses_of_both_kinds_are_read() -> None:
    assert parse_address(four("240.0.0.1", 80)) == ("240.0.0.1", 80)
    assert parse_address(six("fd00::1", 443)) == ("fd00::1", 443)
    assert parse_address(six("::ffff:240.0.0.1", 80)) == ("240.0.0.1", 80)


@pytest.mark.parametrize("raw", [b"", b"\2", four("1.2.3.4", 1)[:7], six("::1", 1)[:23], b"\1\0" + bytes(30)])
def test_what_is_no_address_is_refused(raw: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_address(raw)


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        address, port = parse_address(raw)
    except RemoteProtocolError:
        return
    assert 0 <= port <= 65535
    assert address


def test_a_connection_that_was_not_redirected_has_none() -> None:
    one, two = socket.socketpair()
    with one, two:
        assert original_destination(one) is None
    with socket.socket() as unconnected:
        assert original_destination(unconnected) is None
