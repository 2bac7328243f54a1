"""The server name of a TLS connection, out of the first bytes of its client. Pure: nothing is decrypted or answered.

A ClientHello may be spread over several records, and records over several reads. Source: RFC 8446 sections 4.1.2, 5.1;
RFC 6066 section 3 (server_name). What may change here: nothing that would look further into a connection.
"""

from __future__ import annotations

from meshagent.errors import RemoteProtocolError

__all__ = ["MAX_HELLO_BYTES", "server_name"]

#: Envoy's TLS inspector reads so much, too.
MAX_HELLO_BYTES = 16 * 1024
_HANDSHAKE, _CLIENT_HELLO, _MAJOR = 22, 1, 3
_SERVER_NAME, _HOST_NAME = 0, 0
_LONGEST_NAME = 255


def server_name(data: bytes) -> str | None:
    """The server name (lower case, "" when there is none), None while more bytes are needed.

    Raises:
        RemoteProtocolError: these are not the first bytes of a TLS client, or of one that is too long.
    """
    hello = _hello(data)
    if hello is None:
        if len(data) > MAX_HELLO_BYTES:
            raise RemoteProtocolError(f"the ClientHello is longer than {MAX_HELLO_BYTES} bytes")
        return None
    reader = _Reader(hello)
    reader.skip(2 + 32)  # version, random
    reader.skip(reader.number(1))  # session id
    reader.skip(reader.number(2))  # cipher suites
    reader.skip(reader.number(1))  # compression methods
    if reader.done:
        return ""
    extensions = _Reader(reader.take(reader.number(2)))
    while not extensions.done:
        kind, body = extensions.number(2), extensions.take(extensions.number(2))
        if kind == _SERVER_NAME:
            return _name(body)
    return ""


def _name(body: bytes) -> str:
    reader = _Reader(body)
    names = _Reader(reader.take(reader.number(2)))
    while not names.done:
        kind, name = names.number(1), names.take(names.number(2))
        if kind == _HOST_NAME:
            if not 0 < len(name) <= _LONGEST_NAME or not name.isascii() or not name.decode("ascii").isprintable():
                raise RemoteProtocolError("the server name is none")
            return name.decode("ascii").lower()
    return ""


def _hello(data: bytes) -> bytes | None:
    """The body of the ClientHello, its records joined; None while it is not whole."""
    joined = bytearray()
    at = 0
    while True:
        if len(joined) >= 1 and joined[0] != _CLIENT_HELLO:
            raise RemoteProtocolError("the client does not begin with a ClientHello")
        if len(joined) >= 4:
            size = int.from_bytes(joined[1:4], "big")
            if size > MAX_HELLO_BYTES:
                raise RemoteProtocolError(f"the ClientHello is longer than {MAX_HELLO_BYTES} bytes")
            if len(joined) >= 4 + size:
                return bytes(joined[4 : 4 + size])
        for offset, wanted in ((0, _HANDSHAKE), (1, _MAJOR)):
            if len(data) > at + offset and data[at + offset] != wanted:
                raise RemoteProtocolError("the client does not speak TLS")
        if len(data) < at + 5:
            return None
        length = int.from_bytes(data[at + 3 : at + 5], "big")
        if not length:
            raise RemoteProtocolError("a handshake record is empty")
        joined += data[at + 5 : at + 5 + length]
        if len(data) < at + 5 + length:
            if joined and joined[0] != _CLIENT_HELLO:
                raise RemoteProtocolError("the client does not begin with a ClientHello")
            return None
        at += 5 + length


class _Reader:
    """Bytes from the front. Raises RemoteProtocolError where there are too few."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def done(self) -> bool:
        return self._at == len(self._data)

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise RemoteProtocolError("the ClientHello ends in the middle of a field")
        found = self._data[self._at : end]
        self._at = end
        return found

    def skip(self, size: int) -> None:
        self.take(size)

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")
