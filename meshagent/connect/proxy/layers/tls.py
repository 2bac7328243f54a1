"""TLS over in-memory buffers: cipher text in, plain text out, and back. No socket, no clock.

Unlike asyncio's, it keeps half-close: `close_write` sends close_notify and what the peer still has to say arrives. The
peer's identity is the URI of its verified certificate.

Source: RFC 8446 sections 4.6.1 (tickets) and 6.1 (close_notify); docs.python.org/3/library/ssl.html (memory BIO). What
may change here: nothing that would need a socket.
"""

from __future__ import annotations

import contextlib
import ssl
from typing import Any

from meshagent.errors import RemoteProtocolError

__all__ = ["Tls"]

#: Plain text is read in pieces of this size; a TLS record holds 16 KiB.
_READ_BYTES = 256 * 1024


class Tls:
    """One connection's TLS. After `start`, `feed` and `write`, send what `outgoing` gives."""

    __slots__ = ("_in", "_object", "_out", "eof", "ready", "write_closed")

    def __init__(
        self,
        context: ssl.SSLContext,
        *,
        server_side: bool,
        server_name: str | None = None,
        session: ssl.SSLSession | None = None,
    ) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(
            self._in, self._out, server_side=server_side, server_hostname=server_name, session=session
        )
        #: Whether the handshake is done; whether the peer will send no more.
        self.ready = False
        self.eof = False
        self.write_closed = False

    def start(self) -> None:
        """Begin the handshake."""
        self._shake()

    def feed(self, data: bytes) -> list[bytes]:
        """Take cipher text; the plain text that came out of it.

        Raises:
            RemoteProtocolError: the handshake failed (no certificate, an unknown authority), or the bytes are no TLS.
        """
        self._in.write(data)
        if not self.ready:
            self._shake()
        return self._read() if self.ready else []

    def feed_eof(self) -> list[bytes]:
        """The transport ended, with or without a close_notify."""
        self._in.write_eof()
        chunks = self._read() if self.ready else []
        self.eof = True
        return chunks

    def write(self, data: bytes) -> None:
        """Encrypt plain text. The handshake must be done."""
        self._object.write(data)

    def close_write(self) -> None:
        """Say that no more will be written; reading goes on."""
        if self.write_closed:
            return
        self.write_closed = True
        with contextlib.suppress(ssl.SSLError):  # it waits for the peer's close_notify, which may come much later
            self._object.unwrap()

    def outgoing(self) -> bytes:
        """Cipher text to send."""
        return self._out.read()

    @property
    def identity(self) -> str:
        """The URI in the peer's certificate, which has been verified; "" when there is none."""
        certificate = self._object.getpeercert()
        names: Any = certificate.get("subjectAltName", ()) if certificate else ()
        uris = [str(value) for kind, value in names if kind == "URI"]
        return uris[0] if len(uris) == 1 else ""

    @property
    def valid_until(self) -> float:
        """When the peer's certificate ends, in seconds since 1970; a resumed handshake does not look at it."""
        certificate = self._object.getpeercert()
        ends: Any = certificate.get("notAfter") if certificate else None
        return float(ssl.cert_time_to_seconds(ends)) if ends else 0.0

    @property
    def session(self) -> ssl.SSLSession | None:
        """What lets the next connection to the same peer resume; with TLS 1.3 it comes after the handshake."""
        return self._object.session

    @property
    def resumed(self) -> bool:
        """Whether the handshake resumed an earlier session."""
        return bool(self._object.session_reused)

    def _shake(self) -> None:
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return
        except (ssl.SSLError, ssl.CertificateError) as error:
            reason = getattr(error, "verify_message", "") or getattr(error, "reason", "") or str(error)
            raise RemoteProtocolError(f"TLS handshake failed: {reason}") from error
        self.ready = True

    def _read(self) -> list[bytes]:
        chunks: list[bytes] = []
        while True:
            try:
                chunk = self._object.read(_READ_BYTES)
            except ssl.SSLWantReadError:
                return chunks
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                chunk = b""
            except ssl.SSLError as error:
                raise RemoteProtocolError(f"TLS failed: {error.reason or error}") from error
            if not chunk:
                self.eof = True
                return chunks
            chunks.append(chunk)
