"""I/O edge: where a connection was meant for before the kernel redirected it here.

Source: Linux's netfilter: `SO_ORIGINAL_DST` (linux/netfilter_ipv4.h) and `IP6T_SO_ORIGINAL_DST`
(linux/netfilter_ipv6/ip6_tables.h), both 80; ip(7) and ipv6(7) for the addresses. What may change here: other systems.
"""

from __future__ import annotations

import socket
import sys

from meshagent.errors import RemoteProtocolError

__all__ = ["original_destination", "parse_address"]

_ORIGINAL_DST = 80
#: Sizes of struct sockaddr_in and sockaddr_in6.
_SIZES = {socket.AF_INET: 16, socket.AF_INET6: 28}
_LEVELS = {socket.AF_INET: socket.IPPROTO_IP, socket.AF_INET6: socket.IPPROTO_IPV6}


def original_destination(handle: socket.socket) -> tuple[str, int] | None:
    """(address, port) that the peer dialled; None when the kernel knows of no redirection of this connection."""
    family = handle.family
    if family not in _SIZES:
        return None
    try:
        raw = handle.getsockopt(_LEVELS[family], _ORIGINAL_DST, _SIZES[family])
    except OSError:
        return None
    return parse_address(raw)


def parse_address(raw: bytes) -> tuple[str, int]:
    """(address, port) of a struct sockaddr; an IPv4 address in IPv6's clothes is one of IPv4.

    Raises:
        RemoteProtocolError: it is neither of IPv4 nor of IPv6, or too short.
    """
    family = int.from_bytes(raw[:2], sys.byteorder)
    if family == socket.AF_INET and len(raw) >= 8:
        return socket.inet_ntop(socket.AF_INET, raw[4:8]), int.from_bytes(raw[2:4], "big")
    if family == socket.AF_INET6 and len(raw) >= 24:
        packed, port = raw[8:24], int.from_bytes(raw[2:4], "big")
        if packed[:12] == b"\0" * 10 + b"\xff\xff":
            return socket.inet_ntop(socket.AF_INET, packed[12:]), port
        return socket.inet_ntop(socket.AF_INET6, packed), port
    raise RemoteProtocolError("the kernel gave an address of an unknown kind")
