"""TLS contexts on the OpenSSL that `cryptography` carries: the one door to its bindings. No socket, no file.

Python's own `ssl` sits on the system's OpenSSL 3.0, whose handshakes cost two to three times as much, and it copies a
session (with the peer's certificate) for every connection that resumes one. The entry point is the one pyOpenSSL uses.

Source: docs.openssl.org/master/man3 (SSL_CTX_new, SSL_CTX_set_alpn_select_cb, SSL_CTX_set1_groups_list); "TLS of the
built-in proxy's public listener" of the golden mesh data (versions, suites, client certificates). What may change here:
rows of the tables of names. All calls come from the one thread that owns the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cryptography.hazmat.bindings.openssl.binding import Binding

from meshagent.connect.cipher_suites import openssl_name
from meshagent.connect.mesh_settings import TlsBounds
from meshagent.connect.peers import trust_domain_of
from meshagent.errors import Unavailable

__all__ = ["TlsContext", "error_text", "ffi", "lib"]

lib: Any = Binding.lib
ffi: Any = Binding.ffi

_TLS12_SUITES = b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305"
_TLS13_SUITES = b"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#: Versions as entries name them. What is older than 1.2 is not spoken: an older lower bound means 1.2.
_VERSIONS = {"TLSv1_2": lib.TLS1_2_VERSION, "TLSv1_3": lib.TLS1_3_VERSION}
_OLD = frozenset({"TLSv1_0", "TLSv1_1"})
#: Suites of TLS 1.2 that are spoken. The leaf is ECDSA or RSA: the suites of the other are never agreed on. Those of a
#: static RSA key or with CBC have no forward secrecy or no AEAD, and are not spoken.
_SUITES = frozenset(
    f"TLS_ECDHE_{key}_WITH_{cipher}"
    for key in ("ECDSA", "RSA")
    for cipher in ("AES_128_GCM_SHA256", "AES_256_GCM_SHA384", "CHACHA20_POLY1305_SHA256")
)
_ALL_SUITES = b":".join(openssl_name(name).encode() for name in sorted(_SUITES))
#: X25519 first: its key share is in the first flight. The hybrid with ML-KEM would double the cost of a handshake.
_GROUPS = b"X25519:P-256:P-384:P-521"
_NO_BOUNDS = TlsBounds()
#: SSL_TLSEXT_ERR_ALERT_FATAL of tls1.h: the handshake ends.
_FATAL = 2
#: How long a session may be resumed; the end of its certificate is looked at each time.
_SESSION_S = 3600
#: Tickets of one context are not those of another program that has the same leaf.
_SESSION_CONTEXT = b"meshagent"


class TlsContext:
    """What connections of one side share: leaf, key, roots, protocols. Both sides demand a certificate, but a server
    `for_all`."""

    def __init__(
        self,
        *,
        server_side: bool,
        chain: str,
        key: str,
        roots: Sequence[str],
        alpn: Sequence[str] = (),
        bounds: TlsBounds = _NO_BOUNDS,
        trust_domain: str = "",
        callers: Mapping[str, TlsContext] | None = None,
        for_all: bool = False,
        outside: bool = False,
        by_name: Callable[[str], TlsContext | None] | None = None,
    ) -> None:
        """`chain` is the leaf and what vouches for it, `roots` who is trusted, all PEM. `alpn`: a client offers these
        in order of preference; a server takes the first of its own that is offered, and none when none fits.

        `callers` verify those who say by the server name that they are of another trust domain, by domain; then
        `trust_domain` is the one that `roots` vouch for, and sessions are not resumed: a session does not say whose
        roots verified it. `for_all`: clients need no certificate; then RSA certificates may be shown, too. `by_name`
        gives the context of another certificate for a server name. `outside`: a client of services that are not of
        the mesh: `chain` may be "", and the other side's certificate RSA.

        Raises:
            Unavailable: leaf, key or roots cannot be used, or nothing is left within the bounds.
        """
        self.server_side = server_side
        self._callers = dict(callers or {})
        self._trust_domain = trust_domain
        self.alpn = tuple(alpn)
        lib.ERR_clear_error()
        made = lib.SSL_CTX_new(lib.TLS_method())
        self._handle = ffi.gc(made, lib.SSL_CTX_free)
        context = self._handle
        lib.SSL_CTX_set_options(context, lib.SSL_OP_NO_RENEGOTIATION | lib.SSL_OP_NO_COMPRESSION)
        lib.SSL_CTX_set_mode(
            context,
            lib.SSL_MODE_RELEASE_BUFFERS | lib.SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | lib.SSL_MODE_AUTO_RETRY,
        )
        self._bound(bounds, _ALL_SUITES if for_all or outside else _TLS12_SUITES)
        _must(lib.SSL_CTX_set1_curves_list(context, _GROUPS), "groups")
        if not for_all:
            lib.SSL_CTX_set_verify(context, lib.SSL_VERIFY_PEER | lib.SSL_VERIFY_FAIL_IF_NO_PEER_CERT, ffi.NULL)
        lib.SSL_CTX_set_session_cache_mode(context, lib.SSL_SESS_CACHE_OFF)
        lib.SSL_CTX_set_session_id_context(context, _SESSION_CONTEXT, len(_SESSION_CONTEXT))
        lib.SSL_CTX_set_timeout(context, _SESSION_S)
        if chain or not outside:
            self._use(chain, key)
        self._trust(roots)
        if self.alpn:
            self._negotiate()
        if self._callers:
            lib.SSL_CTX_set_options(context, lib.SSL_OP_NO_TICKET)
            self._tell_apart(lambda name: self._callers.get(trust_domain_of(name)))
        elif by_name is not None:
            self._tell_apart(by_name)

    def vouched(self, server_name: str) -> str:
        """The one trust domain whose identities count on a connection with that server name; "": any."""
        if not self._callers:
            return ""
        domain = trust_domain_of(server_name)
        return domain if domain in self._callers else self._trust_domain

    def connection(self) -> Any:
        """A new SSL*, to be freed by its owner."""
        return lib.SSL_new(self._handle)

    # --- inside ------------------------------------------------------------------------------------------------

    def _bound(self, bounds: TlsBounds, suites: bytes) -> None:
        context = self._handle
        if bounds.max_version in _OLD:
            raise Unavailable(f"TLS up to {bounds.max_version} cannot be spoken: this proxy speaks 1.2 and 1.3")
        lib.SSL_CTX_set_min_proto_version(context, _VERSIONS.get(bounds.min_version, lib.TLS1_2_VERSION))
        if bounds.max_version in _VERSIONS:
            lib.SSL_CTX_set_max_proto_version(context, _VERSIONS[bounds.max_version])
        known = [openssl_name(name).encode() for name in bounds.cipher_suites if name in _SUITES]
        if bounds.cipher_suites and not known and bounds.max_version == "TLSv1_2":
            raise Unavailable("none of the cipher suites of the mesh entry can be spoken")
        _must(lib.SSL_CTX_set_cipher_list(context, b":".join(known) or suites), "suites")
        _must(lib.SSL_CTX_set_ciphersuites(context, _TLS13_SUITES), "suites")
        if bounds.cipher_suites and not known:  # none of theirs, and others are not wanted: 1.3 has suites of its own
            lib.SSL_CTX_set_min_proto_version(context, lib.TLS1_3_VERSION)

    def _use(self, chain: str, key: str) -> None:
        certificates = _certificates(chain)
        if not certificates:
            raise Unavailable("the leaf certificate cannot be used: it is empty")
        leaf, *others = certificates
        _must(lib.SSL_CTX_use_certificate(self._handle, leaf), "certificate")
        for other in others:
            _must(lib.SSL_CTX_add_extra_chain_cert(self._handle, other), "chain")
            lib.X509_up_ref(other)  # the context has taken the one reference it was given
        data, bio = _reader(key)
        private = lib.PEM_read_bio_PrivateKey(bio, ffi.NULL, ffi.NULL, ffi.NULL)
        del data
        if private == ffi.NULL:
            raise Unavailable(f"the leaf certificate cannot be used: key: {error_text()}")
        private = ffi.gc(private, lib.EVP_PKEY_free)
        _must(lib.SSL_CTX_use_PrivateKey(self._handle, private), "key")
        _must(lib.SSL_CTX_check_private_key(self._handle), "key")

    def _trust(self, roots: Sequence[str]) -> None:
        store = lib.SSL_CTX_get_cert_store(self._handle)
        for pem in roots:
            certificates = _certificates(pem)
            if not certificates:
                raise Unavailable("the leaf certificate cannot be used: a root is no certificate")
            for one in certificates:
                _must(lib.X509_STORE_add_cert(store, one), "root")

    def _tell_apart(self, by_name: Callable[[str], TlsContext | None]) -> None:
        def choose(ssl: Any, _alert: Any, _: Any) -> int:
            other = by_name(server_name_of(ssl))
            if other is not None:
                lib.SSL_set_SSL_CTX(ssl, other._handle)
            return int(lib.SSL_TLSEXT_ERR_OK)

        self._choose = ffi.callback("int(SSL *, int *, void *)", choose, error=_FATAL)
        lib.SSL_CTX_set_tlsext_servername_callback(self._handle, self._choose)

    def _negotiate(self) -> None:
        names = [name.encode("ascii") for name in self.alpn]
        if not self.server_side:
            wire = b"".join(bytes([len(name)]) + name for name in names)
            lib.SSL_CTX_set_alpn_protos(self._handle, wire, len(wire))  # 0 is success here
            return
        kept = [ffi.new("unsigned char[]", name) for name in names]

        def select(_ssl: Any, out: Any, out_length: Any, offered: Any, length: int, _: Any) -> int:
            wanted = _listed(bytes(ffi.buffer(offered, length)))
            for name, buffer in zip(names, kept, strict=True):
                if name in wanted:
                    out[0], out_length[0] = buffer, len(name)
                    return int(lib.SSL_TLSEXT_ERR_OK)
            return int(lib.SSL_TLSEXT_ERR_NOACK)

        kind = "int(SSL *, unsigned char **, unsigned char *, const unsigned char *, unsigned int, void *)"
        self._select = ffi.callback(kind, select, error=lib.SSL_TLSEXT_ERR_NOACK)
        lib.SSL_CTX_set_alpn_select_cb(self._handle, self._select, ffi.NULL)


def server_name_of(ssl: Any) -> str:
    """The server name of a connection; "" without one."""
    name = lib.SSL_get_servername(ssl, lib.TLSEXT_NAMETYPE_host_name)
    return "" if name == ffi.NULL else str(ffi.string(name), "ascii", "replace")


def error_text() -> str:
    """What OpenSSL says went wrong last; the queue is empty afterwards."""
    code = lib.ERR_get_error()
    lib.ERR_clear_error()
    text = lib.ERR_reason_error_string(code) if code else ffi.NULL
    return ffi.string(text).decode("ascii", "replace") if text != ffi.NULL else "unknown"


def _must(result: int, what: str) -> None:
    if result != 1:
        raise Unavailable(f"the leaf certificate cannot be used: {what}: {error_text()}")


def _reader(pem: str) -> tuple[Any, Any]:
    """(the bytes, which must live as long, and a BIO that reads them)."""
    data = ffi.from_buffer(pem.encode("ascii", "replace"))
    return data, ffi.gc(lib.BIO_new_mem_buf(data, len(data)), lib.BIO_free)


def _certificates(pem: str) -> list[Any]:
    data, bio = _reader(pem)
    found = []
    while (one := lib.PEM_read_bio_X509(bio, ffi.NULL, ffi.NULL, ffi.NULL)) != ffi.NULL:
        found.append(ffi.gc(one, lib.X509_free))
    lib.ERR_clear_error()  # the end of the text is an error to OpenSSL
    del data
    return found


def _listed(wire: bytes) -> list[bytes]:
    """The names of an ALPN extension, each behind its length; OpenSSL has checked the lengths."""
    names, at = [], 0
    while at < len(wire):
        names.append(wire[at + 1 : at + 1 + wire[at]])
        at += 1 + wire[at]
    return names
