"""The PROXY header: who dialled, told in front of a connection's first byte. Bytes in, values out; no I/O.

    b"PROXY TCP4 192.0.2.1 10.0.0.9 40000 443\\r\\n"                 version 1
    b"\\r\\n\\r\\n\\0\\r\\nQUIT\\n" 21 11 000c c0000201 0a000009 9c40 01bb    version 2

Source: haproxy.org/download/2.9/doc/proxy-protocol.txt, sections 2.1 and 2.2. Additional fields (TLVs) of version 2 are
passed over. What may change here: nothing that makes a header longer than `MAX_BYTES`.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from dataclasses import dataclass

from meshagent.errors import RemoteProtocolError

__all__ = ["MAX_BYTES", "VERSIONS", "Address", "Header", "decode", "encode"]

#: (IP address, port)
Address = tuple[str, int]

VERSIONS = ("v1", "v2")
#: Section 2.1: the longest line of version 1.
_MAX_LINE = 107
#: Of version 2; the length field allows 64 KiB, load balancers send some hundred bytes of additional fields.
MAX_BYTES = 4096
_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_FIXED = struct.Struct("!12sBBH")
_LOCAL, _PROXY = 0x20, 0x21
_TCP4, _TCP6 = 0x11, 0x21
_SIZES = {_TCP4: 4, _TCP6: 16}
_PORT = re.compile(r"0|[1-9][0-9]{0,4}")


@dataclass(frozen=True, slots=True)
class Header:
    """`size` bytes of header. No addresses: the one who sends it speaks for himself, or they are of another kind."""

    size: int
    source: Address | None = None
    destination: Address | None = None


def encode(version: str, source: Address | None, destination: Address | None) -> bytes:
    """The header for a connection between two addresses of one family; without them one that says nothing."""
    pair = None
    if source is not None and destination is not None:
        first, second = ipaddress.ip_address(_plain(source[0])), ipaddress.ip_address(_plain(destination[0]))
        if first.version == second.version:
            pair = first, second
    if version == "v1":
        if pair is None or source is None or destination is None:
            return b"PROXY UNKNOWN\r\n"
        family = f"TCP{pair[0].version}"
        return f"PROXY {family} {pair[0]} {pair[1]} {source[1]} {destination[1]}\r\n".encode()
    if pair is None or source is None or destination is None:
        return _FIXED.pack(_SIGNATURE, _LOCAL, 0, 0)
    addresses = pair[0].packed + pair[1].packed + struct.pack("!HH", source[1], destination[1])
    family_byte = _TCP4 if pair[0].version == 4 else _TCP6
    return _FIXED.pack(_SIGNATURE, _PROXY, family_byte, len(addresses)) + addresses


def decode(data: bytes) -> Header | None:
    """The header at the beginning of `data`, None while it is not complete.

    Raises:
        RemoteProtocolError: there is none.
    """
    if data[:12] == _SIGNATURE[: len(data)]:
        return _decode2(data)
    if data[:6] == b"PROXY "[: len(data)]:
        return _decode1(data)
    raise RemoteProtocolError("no PROXY header")


def _decode1(data: bytes) -> Header | None:
    end = data.find(b"\r\n", 0, _MAX_LINE)
    if end < 0:
        if len(data) >= _MAX_LINE:
            raise RemoteProtocolError("the PROXY header has no end")
        return None
    words = data[:end].decode("latin-1").split(" ")
    if words[1] == "UNKNOWN":
        return Header(end + 2)
    if len(words) != 6 or words[1] not in {"TCP4", "TCP6"} or not all(map(_PORT.fullmatch, words[4:])):
        raise RemoteProtocolError("a PROXY header that cannot be read")
    try:
        kind = ipaddress.IPv4Address if words[1] == "TCP4" else ipaddress.IPv6Address
        source, destination = str(kind(words[2])), str(kind(words[3]))
    except ValueError:
        raise RemoteProtocolError("a PROXY header with a bad address") from None
    ports = int(words[4]), int(words[5])
    if max(ports) > 65535:
        raise RemoteProtocolError("a PROXY header with a bad port")
    return Header(end + 2, (source, ports[0]), (destination, ports[1]))


def _decode2(data: bytes) -> Header | None:
    if len(data) < _FIXED.size:
        return None
    _, command, family, length = _FIXED.unpack_from(data)
    size = _FIXED.size + length
    if command not in {_LOCAL, _PROXY}:
        raise RemoteProtocolError("a PROXY header of another version")
    if size > MAX_BYTES:
        raise RemoteProtocolError(f"a PROXY header of {size} bytes")
    width = _SIZES.get(family, 0)
    if command == _PROXY and length < 2 * width + (4 if width else 0):
        raise RemoteProtocolError("a PROXY header that is too short for its addresses")
    if len(data) < size:
        return None
    if command == _LOCAL or not width:
        return Header(size)
    at = _FIXED.size
    source = str(ipaddress.ip_address(data[at : at + width]))
    destination = str(ipaddress.ip_address(data[at + width : at + 2 * width]))
    ports = struct.unpack_from("!HH", data, at + 2 * width)
    return Header(size, (source, ports[0]), (destination, ports[1]))


def _plain(address: str) -> str:
    """Without a zone, and without the IPv6 form of an IPv4 address."""
    address = address.partition("%")[0]
    return address[7:] if address.startswith("::ffff:") and "." in address else address
