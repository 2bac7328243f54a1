"""TLS over in-memory buffers: cipher text in, plain text out, and back. No socket, no clock.

It keeps half-close: `close_write` sends close_notify and what the peer still has to say arrives. The peer's identity is
the URI of its verified certificate.

Source: RFC 8446 sections 4.6.1 (tickets) and 6.1 (close_notify); docs.openssl.org/master/man3 (SSL_read, SSL_write,
SSL_shutdown). What may change here: nothing that would need a socket. The layer-4 pump uses `take` and `give` on the
buffers below, which all connections of the process share: they are filled and emptied within one call, by one thread.
"""

from __future__ import annotations

from datetime import UTC
from typing import Any

from meshagent.connect import spiffe
from meshagent.connect.proxy.layers.openssl import TlsContext, error_text, ffi, lib, server_name_of
from meshagent.errors import RemoteProtocolError

__all__ = [
    "BUFFER_BYTES",
    "CIPHER",
    "CIPHER_POINTER",
    "IN",
    "IN_POINTER",
    "PLAIN",
    "PLAIN_POINTER",
    "Session",
    "Tls",
    "unpack",
]

#: One read of a socket, and what comes out of it; a TLS record holds 16 KiB.
BUFFER_BYTES = 256 * 1024
#: Records add 22 bytes for each 16 KiB, a handshake's tickets a few hundred.
_CIPHER_BYTES = BUFFER_BYTES + 64 * 1024

#: What a socket is read into.
_in = bytearray(BUFFER_BYTES)
IN = memoryview(_in)
IN_POINTER: Any = ffi.from_buffer(_in)
#: Plain text that `take` gives.
_plain = bytearray(BUFFER_BYTES)
PLAIN = memoryview(_plain)
PLAIN_POINTER: Any = ffi.from_buffer(_plain)
#: Cipher text that `give` gives.
_cipher = bytearray(_CIPHER_BYTES)
CIPHER = memoryview(_cipher)
CIPHER_POINTER: Any = ffi.from_buffer(_cipher)

#: `unpack(pointer, size)`: a copy of the first bytes of such a buffer.
unpack = ffi.unpack

_ssl_read, _ssl_write, _bio_read, _bio_write = lib.SSL_read, lib.SSL_write, lib.BIO_read, lib.BIO_write
_bio_length, _NULL = lib.BIO_get_mem_data, ffi.NULL
_WANT_READ, _ZERO_RETURN, _TLS13 = lib.SSL_ERROR_WANT_READ, lib.SSL_ERROR_ZERO_RETURN, lib.TLS1_3_VERSION

#: (identity, end) of certificates seen, by their DER: peers are few, connections many.
_known: dict[bytes, tuple[str, float]] = {}
_MAX_KNOWN = 1024


class Session:
    """What lets another connection to the same peer resume; for several of them."""

    __slots__ = ("handle",)

    def __init__(self, handle: Any) -> None:
        self.handle = ffi.gc(handle, lib.SSL_SESSION_free)


class Tls:
    """One connection's TLS. After `start`, `feed` and `write`, send what `outgoing` gives."""

    __slots__ = ("_first", "_in", "_out", "_peer", "_ssl", "context", "eof", "ready", "write_closed")

    def __init__(
        self,
        context: TlsContext,
        *,
        server_side: bool,
        server_name: str | None = None,
        session: Session | None = None,
        alpn: tuple[str, ...] = (),
    ) -> None:
        """`alpn` is what this client connection offers in place of its context's."""
        self.context = context
        self._ssl = ffi.gc(context.connection(), lib.SSL_free)
        self._in, self._out = lib.BIO_new(lib.BIO_s_mem()), lib.BIO_new(lib.BIO_s_mem())
        lib.BIO_set_mem_eof_return(self._in, -1)
        lib.BIO_set_mem_eof_return(self._out, -1)
        lib.SSL_set_bio(self._ssl, self._in, self._out)  # which owns them from here
        #: The session before any ticket; another one can be resumed. Held, so that its address is not used again.
        self._first: Any = None
        self._peer: tuple[str, float] | None = None
        #: Whether the handshake is done; whether the peer will send no more.
        self.ready = False
        self.eof = False
        self.write_closed = False
        if server_side:
            lib.SSL_set_accept_state(self._ssl)
            return
        lib.SSL_set_connect_state(self._ssl)
        if server_name:
            lib.SSL_set_tlsext_host_name(self._ssl, server_name.encode("ascii", "replace"))
        if session is not None:
            lib.SSL_set_session(self._ssl, session.handle)
        if alpn:
            wire = b"".join(bytes([len(name)]) + name.encode("ascii") for name in alpn)
            lib.SSL_set_alpn_protos(self._ssl, wire, len(wire))

    def start(self) -> None:
        """Begin the handshake."""
        self._shake()

    def feed(self, data: bytes) -> list[bytes]:
        """Take cipher text; the plain text that came out of it.

        Raises:
            RemoteProtocolError: the handshake failed (no certificate, an unknown authority), or the bytes are no TLS.
        """
        _bio_write(self._in, data, len(data))
        if not self.ready:
            self._shake()
            if not self.ready:
                return []
        chunks = []
        while (size := self._read()) > 0:
            chunks.append(bytes(PLAIN[:size]))
        return chunks

    def feed_eof(self) -> list[bytes]:
        """The transport ended, with or without a close_notify; what came before has been read."""
        self.eof = True
        return []

    def write(self, data: bytes) -> None:
        """Encrypt plain text. The handshake must be done."""
        if data:
            self._written(_ssl_write(self._ssl, ffi.from_buffer(data), len(data)))

    def close_write(self) -> None:
        """Say that no more will be written; reading goes on."""
        if not self.write_closed:
            self.write_closed = True
            if self.ready and lib.SSL_shutdown(self._ssl) < 0:
                lib.ERR_clear_error()

    def outgoing(self) -> bytes:
        """Cipher text to send."""
        size = _bio_read(self._out, CIPHER_POINTER, _CIPHER_BYTES)
        if size <= 0:
            return b""
        data = bytes(CIPHER[:size])
        while (size := _bio_read(self._out, CIPHER_POINTER, _CIPHER_BYTES)) > 0:
            data += CIPHER[:size]
        return data

    # --- the pump's way: over the shared buffers, nothing is allocated -----------------------------------------

    def take(self, size: int) -> int:
        """The first `size` bytes of `IN` are cipher text; how many bytes of plain text are in `PLAIN`. `more` gives
        what found no room. The handshake must be done. Raises RemoteProtocolError."""
        source = self._in
        _bio_write(source, IN_POINTER, size)
        found: int = _ssl_read(self._ssl, PLAIN_POINTER, BUFFER_BYTES)
        if found > 0 and not _bio_length(source, _NULL):
            return found
        return self._rest(found)

    def more(self) -> int:
        """Further plain text in `PLAIN` from what `take` was given."""
        return self._read()

    def give(self, size: int) -> int:
        """The first `size` bytes of `IN` are plain text; how many bytes of cipher text are in `CIPHER`."""
        self._written(_ssl_write(self._ssl, IN_POINTER, size))
        found: int = _bio_read(self._out, CIPHER_POINTER, _CIPHER_BYTES)
        return found

    # --- who the peer is ---------------------------------------------------------------------------------------

    @property
    def identity(self) -> str:
        """The URI in the peer's certificate, which has been verified; "" when there is none, or when the roots that
        verified it do not vouch for its trust domain."""
        uri = self._facts()[0]
        domain = self.context.vouched(server_name_of(self._ssl)) if self.context.server_side else ""
        return uri if not domain or _speaks_for(uri, domain) else ""

    @property
    def valid_until(self) -> float:
        """When the peer's certificate ends, in seconds since 1970; a resumed handshake does not look at it."""
        return self._facts()[1]

    @property
    def peer_certificate(self) -> bytes:
        """The peer's certificate, DER; b"" when there is none."""
        certificate = lib.SSL_get_peer_certificate(self._ssl)
        if certificate == ffi.NULL:
            return b""
        certificate = ffi.gc(certificate, lib.X509_free)
        out = ffi.gc(lib.BIO_new(lib.BIO_s_mem()), lib.BIO_free)
        lib.i2d_X509_bio(out, certificate)
        pointer = ffi.new("char **")
        size = lib.BIO_get_mem_data(out, pointer)
        return bytes(ffi.buffer(pointer[0], size))

    @property
    def session(self) -> Session | None:
        """What lets the next connection to the same peer resume; None while there is no ticket: with TLS 1.3 it comes
        after the handshake."""
        if not self.ready:
            return None
        handle = lib.SSL_get1_session(self._ssl)
        found = Session(handle) if handle != ffi.NULL else None
        return None if found is None or found.handle == self._first else found

    @property
    def resumed(self) -> bool:
        """Whether the handshake resumed an earlier session."""
        return bool(lib.SSL_session_reused(self._ssl))

    @property
    def is_awaited(self) -> bool:
        """Whether the peer's handshake ends only with what `outgoing` gives behind ours: a server's, below TLS 1.3."""
        return self.context.server_side and bool(lib.SSL_version(self._ssl) < _TLS13)

    @property
    def alpn(self) -> str:
        """The protocol both agreed on, such as "h2"; "" when there is none."""
        name, length = ffi.new("const unsigned char **"), ffi.new("unsigned int *")
        lib.SSL_get0_alpn_selected(self._ssl, name, length)
        return bytes(ffi.buffer(name[0], length[0])).decode("ascii", "replace") if length[0] else ""

    @property
    def version(self) -> str:
        """Of the protocol, such as "TLSv1.3"."""
        return str(ffi.string(lib.SSL_get_version(self._ssl)), "ascii")

    @property
    def speaks_last(self) -> bool:
        """Whether the client waits for this server's last words before its handshake is done: up to TLS 1.2."""
        return bool(self.context.server_side and lib.SSL_version(self._ssl) < _TLS13)

    @property
    def cipher(self) -> str:
        """The suite in use; "" before there is one."""
        found = lib.SSL_get_current_cipher(self._ssl)
        return "" if found == ffi.NULL else str(ffi.string(lib.SSL_CIPHER_get_name(found)), "ascii")

    # --- inside ------------------------------------------------------------------------------------------------

    def _facts(self) -> tuple[str, float]:
        if self._peer is None:
            der = self.peer_certificate
            found = _known.get(der)
            if found is None:
                if len(_known) >= _MAX_KNOWN:
                    _known.clear()
                found = _known[der] = _read_certificate(der)
            self._peer = found
        return self._peer

    def _shake(self) -> None:
        lib.ERR_clear_error()
        result = lib.SSL_do_handshake(self._ssl)
        if result == 1:
            self.ready = True
            if not self.context.server_side and lib.SSL_version(self._ssl) >= _TLS13:
                self._first = ffi.gc(lib.SSL_get1_session(self._ssl), lib.SSL_SESSION_free)
            return
        if lib.SSL_get_error(self._ssl, result) == _WANT_READ:
            return
        verdict = lib.SSL_get_verify_result(self._ssl)
        reason = error_text()
        if verdict != lib.X509_V_OK:
            reason = ffi.string(lib.X509_verify_cert_error_string(verdict)).decode("ascii", "replace")
        raise RemoteProtocolError(f"TLS handshake failed: {reason}")

    def _read(self) -> int:
        """Fill `PLAIN`; how many bytes."""
        return self._rest(_ssl_read(self._ssl, PLAIN_POINTER, BUFFER_BYTES))

    def _rest(self, at: int) -> int:
        """The same behind a first read of `at` bytes."""
        if at <= 0:
            self._ended(at)
            return 0
        ssl, source = self._ssl, self._in
        while _bio_length(source, _NULL) and at < BUFFER_BYTES:  # an attempt in vain costs more than to ask
            size = _ssl_read(ssl, PLAIN_POINTER + at, BUFFER_BYTES - at)
            if size <= 0:
                self._ended(size)
                break
            at += size
        return at

    def _ended(self, result: int) -> None:
        kind = lib.SSL_get_error(self._ssl, result)
        if kind == _WANT_READ:
            return
        if kind == _ZERO_RETURN:
            self.eof = True
            return
        raise RemoteProtocolError(f"TLS failed: {error_text()}")

    def _written(self, result: int) -> None:
        if result <= 0:
            raise RemoteProtocolError(f"TLS failed: {error_text()}")


def _speaks_for(uri: str, trust_domain: str) -> bool:
    try:
        return spiffe.parse(uri).trust_domain == trust_domain
    except RemoteProtocolError:
        return False


def _read_certificate(der: bytes) -> tuple[str, float]:
    from meshagent.connect.peer_certificate import peer_facts

    if not der:
        return "", 0.0
    uris, ends = peer_facts(der)
    return (uris[0] if len(uris) == 1 else ""), ends.astimezone(UTC).timestamp()
