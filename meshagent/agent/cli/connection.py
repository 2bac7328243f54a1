"""I/O edge: connections to an agent: plain, over TLS, over a Unix socket.

Source: docs.python.org/3/library/http.client.html. A module of its own, for importing http.client costs more than
many a command: `client` imports it when there is something to send.
"""

from __future__ import annotations

import http.client
import socket
import ssl

from meshagent.errors import MeshError

__all__ = ["BrokenOff", "NotHttp", "TlsConnection", "UnixConnection", "UnknownName", "plain", "tls_context"]

#: What the peer sent is no HTTP.
NotHttp = http.client.HTTPException
#: The answer ended before its end.
BrokenOff = http.client.IncompleteRead
#: A host name that does not resolve.
UnknownName = socket.gaierror


def plain(host: str, port: int, timeout_s: float) -> http.client.HTTPConnection:
    """A connection without TLS."""
    return http.client.HTTPConnection(host, port, timeout=timeout_s)


class UnixConnection(http.client.HTTPConnection):
    """HTTP over the socket at `path`."""

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class TlsConnection(http.client.HTTPConnection):
    """HTTPS whose certificate may be asked for under another name than the address."""

    def __init__(self, host: str, port: int, timeout_s: float, context: ssl.SSLContext, server_name: str) -> None:
        super().__init__(host, port, timeout=timeout_s)
        self._tls = context
        self._server_name = server_name or host

    def connect(self) -> None:
        super().connect()
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._server_name)


def tls_context(ca_file: str, ca_path: str, cert: str, key: str, *, verify: bool) -> ssl.SSLContext:
    """The TLS settings of the flags; empty means the system's. Raises MeshError that names the files."""
    try:
        context = ssl.create_default_context(cafile=ca_file or None, capath=ca_path or None)
        if not verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if cert:
            context.load_cert_chain(cert, key or None)
    except OSError as error:
        named = ", ".join(path for path in (ca_file, ca_path, cert, key) if path)
        raise MeshError(f"cannot use the TLS files {named}: {error}") from None
    return context
