"""I/O edge: the plainest HTTP and DNS clients: what is asked goes out as it stands, what comes back is kept as it came.

No redirects, no cookies, no added headers, one connection a request. Blocking; the replayer runs them in threads.
"""

from __future__ import annotations

import gzip
import http.client
import socket
import struct
import time
from collections.abc import Mapping
from typing import Any

from meshtest.golden import Answer

DNS_NO_REPLY_S = 1.0
"""How long to wait for a reply that should not come (Consul answers within milliseconds on loopback)."""


class _AsItStands(http.client.HTTPConnection):
    def _validate_path(self, url: str) -> None:
        """Recorded paths are sent as they are, odd ones too."""

    def _encode_request(self, request: str) -> bytes:
        return request.encode("utf-8")


class _UnixConnection(_AsItStands):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def http_request(
    address: tuple[str, int] | str,
    method: str,
    path: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    timeout_s: float = 15.0,
) -> Answer:
    """One request to (host, port) or to the path of a unix socket. Raises OSError or http.client.HTTPException."""
    started = time.monotonic()
    connection = (
        _UnixConnection(address, timeout_s) if isinstance(address, str) else _AsItStands(*address, timeout=timeout_s)
    )
    try:
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        if body is not None and "content-length" not in {name.lower() for name in headers or {}}:
            connection.putheader("Content-Length", str(len(body)))
        elif body is None and method in ("PUT", "POST", "PATCH"):
            connection.putheader("Content-Length", "0")
        try:
            connection.endheaders()
            if body:
                connection.send(body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before all was read: the answer is most often there
        response = connection.getresponse()
        data = response.read()
        received: dict[str, str] = {}
        for name, value in response.getheaders():
            name = name.lower()
            received[name] = f"{received[name]}, {value}" if name in received else value
        if received.get("content-encoding", "").lower() == "gzip" and data:
            data = gzip.decompress(data)
        return Answer(response.status, received, data, time.monotonic() - started)
    finally:
        connection.close()


def dns_exchange(address: tuple[str, int], packet: bytes, *, tcp: bool = False, timeout_s: float = 3.0) -> bytes | None:
    """The answer to one packet, None when none came in time."""
    try:
        return _dns_tcp(address, packet, timeout_s) if tcp else _dns_udp(address, packet, timeout_s)
    except (TimeoutError, ConnectionError):
        return None


def _dns_udp(address: tuple[str, int], packet: bytes, timeout_s: float) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(timeout_s)
        sock.connect(address)
        sock.send(packet)
        return sock.recv(65535)


def _dns_tcp(address: tuple[str, int], packet: bytes, timeout_s: float) -> bytes | None:
    with socket.create_connection(address, timeout=timeout_s) as sock:
        sock.settimeout(timeout_s)
        sock.sendall(struct.pack("!H", len(packet)) + packet)
        head = _exactly(sock, 2)
        return _exactly(sock, struct.unpack("!H", head)[0]) if head else None


def _exactly(sock: socket.socket, count: int) -> bytes | None:
    data = b""
    while len(data) < count:
        piece = sock.recv(count - len(data))
        if not piece:
            return None
        data += piece
    return data


def json_body(value: Any) -> bytes:
    import json

    return json.dumps(value, ensure_ascii=False).encode()  # spaced, as it was recorded: sizes show in messages
