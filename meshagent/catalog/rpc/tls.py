"""I/O edge: the TLS contexts of the RPC port, and what a peer's certificate says.

Source: developer.hashicorp.com/consul/docs/agent/config/config-files, `tls.internal_rpc` (surface row G15);
RFC 7301 (ALPN); RFC 6125 for names. `verify_incoming`: who dials us must show a certificate of our authorities;
`verify_outgoing`: whom we dial must; `verify_server_hostname`: and it must be one for `server.<datacenter>.<domain>`.

A client may have its certificate from the servers instead of from a file (`Credentials`). Only the authorities of
files, and those that the servers hand out beside it, are trusted to name a server: the mesh's own roots never are, for
every service has a certificate of theirs. On a server they are trusted for who dials.

What may be changed: the ALPN word is on the wire; a new version of it is a new word beside the old.
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass

from meshagent.catalog.rpc.hello import server_name
from meshagent.catalog.rpc.reasons import Reason
from meshagent.catalog.rpc.settings import TlsSettings
from meshagent.errors import ConfigError

__all__ = [
    "ALPN",
    "BOOTSTRAP",
    "BOOTSTRAP_ALPN",
    "Credentials",
    "Security",
    "certificate_names",
    "classify",
    "load_chain",
    "load_security",
]

ALPN = "meshagent/1"
#: Of connections on which only a first certificate can be asked for.
BOOTSTRAP_ALPN = "meshagent-bootstrap/1"
#: What such a connection begins with, before TLS: Consul's byte for TLS without a client's certificate.
BOOTSTRAP = 0x07
_BLOCK = "tls.internal_rpc"

_VERSIONS = {
    "tlsv1_0": ssl.TLSVersion.TLSv1,
    "tls10": ssl.TLSVersion.TLSv1,
    "tlsv1_1": ssl.TLSVersion.TLSv1_1,
    "tls11": ssl.TLSVersion.TLSv1_1,
    "tlsv1_2": ssl.TLSVersion.TLSv1_2,
    "tls12": ssl.TLSVersion.TLSv1_2,
    "tlsv1_3": ssl.TLSVersion.TLSv1_3,
    "tls13": ssl.TLSVersion.TLSv1_3,
}


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """What did not come from files: a certificate chain with its key, and authorities, all PEM.

    On a client `authorities` are those of servers, on a server those of clients.
    """

    chain: str = ""
    key: str = ""
    authorities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Security:
    """How connections are secured. Without contexts they are plain TCP.

    `domain` is the DNS domain of server names. `prove_dialler`: who dials us as a server must have a server's
    certificate; `prove_listener`: whom we dial must. `bootstrap` is for
    who has no certificate yet: on a server it asks for none, on a client it shows none.
    """

    listener: ssl.SSLContext | None = None
    dialler: ssl.SSLContext | None = None
    domain: str = "consul"
    prove_dialler: bool = False
    prove_listener: bool = False
    bootstrap: ssl.SSLContext | None = None

    def hostname(self, datacenter: str) -> str | None:
        """The name for the TLS handshake with a server (also SNI); None for plain TCP."""
        return None if self.dialler is None and self.bootstrap is None else server_name(datacenter, self.domain)


def load_security(
    tls: TlsSettings, domain: str = "consul", credentials: Credentials | None = None, *, bootstrap: bool = False
) -> Security:
    """The contexts for a `tls.internal_rpc` block; with `bootstrap` also those for who has no certificate.

    Raises:
        ConfigError: a file is missing or not what it should be; names the option.
    """
    more = credentials or Credentials()
    first = None
    if bootstrap:
        first = _bootstrap_listener(tls) if tls.listens else _dialler(tls, Credentials(authorities=more.authorities))
        first.set_alpn_protocols([BOOTSTRAP_ALPN])
    return Security(
        listener=_listener(tls, more) if tls.listens else None,
        dialler=_dialler(tls, more) if tls.dials or more.chain else None,
        domain=domain,
        prove_dialler=tls.verify_server_hostname and tls.verify_incoming,
        prove_listener=tls.verify_server_hostname,
        bootstrap=first,
    )


def _listener(tls: TlsSettings, more: Credentials) -> ssl.SSLContext:
    context = _bootstrap_listener(tls)
    if tls.verify_incoming:
        _load_authorities(context, tls, "verify_incoming", more.authorities)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _bootstrap_listener(tls: TlsSettings) -> ssl.SSLContext:
    context = _context(ssl.PROTOCOL_TLS_SERVER, tls)
    _load_own(context, tls)
    return context


def _dialler(tls: TlsSettings, more: Credentials) -> ssl.SSLContext:
    context = _context(ssl.PROTOCOL_TLS_CLIENT, tls)
    if tls.verify_outgoing or tls.verify_server_hostname or more.authorities:
        _load_authorities(context, tls, "verify_outgoing", more.authorities)
        context.verify_mode = ssl.CERT_REQUIRED
        context.check_hostname = tls.verify_server_hostname
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.cert_file:
        _load_own(context, tls)
    elif more.chain:
        try:
            load_chain(context, more.chain, more.key)
        except ssl.SSLError as error:
            raise ConfigError(f"{_BLOCK}: the certificate that the servers gave cannot be used: {error}") from error
    return context


def _context(protocol: int, tls: TlsSettings) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = _VERSIONS[(tls.min_version or "TLSv1_2").lower()]
    context.set_alpn_protocols([ALPN])
    if tls.cipher_suites:
        try:
            context.set_ciphers(tls.cipher_suites)
        except ssl.SSLError as error:
            raise ConfigError(f"{_BLOCK}: tls_cipher_suites {tls.cipher_suites!r}: {error}") from error
    return context


def _load_own(context: ssl.SSLContext, tls: TlsSettings) -> None:
    if not tls.key_file:
        raise ConfigError(f"{_BLOCK}: cert_file needs key_file")
    try:
        context.load_cert_chain(tls.cert_file, tls.key_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{_BLOCK}: cert_file {tls.cert_file!r} with key_file {tls.key_file!r}: {error}") from error


def load_chain(context: ssl.SSLContext, chain: str, key: str) -> None:
    """Show this certificate. The library reads files only: it gets one in memory, without a name on any disk.

    Raises:
        ssl.SSLError: they cannot be used.
    """
    handle = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        os.write(handle, f"{chain.rstrip()}\n{key}".encode("ascii", "replace"))
        context.load_cert_chain(f"/proc/self/fd/{handle}")
    finally:
        os.close(handle)


def _load_authorities(context: ssl.SSLContext, tls: TlsSettings, option: str, more: tuple[str, ...]) -> None:
    if not tls.ca_file and not tls.ca_path and not more:
        raise ConfigError(f"{_BLOCK}: {option} needs ca_file or ca_path")
    try:
        if tls.ca_file or tls.ca_path:
            context.load_verify_locations(tls.ca_file or None, tls.ca_path or None)
        for pem in more:
            context.load_verify_locations(cadata=pem)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{_BLOCK}: ca_file {tls.ca_file or tls.ca_path!r}: {error}") from error


def certificate_names(secure: ssl.SSLObject | None) -> frozenset[str]:
    """DNS names (lower case) and URIs of the peer's verified certificate; none when it showed none, or without TLS."""
    certificate = None if secure is None else secure.getpeercert()
    if not certificate:
        return frozenset()
    alternatives = certificate.get("subjectAltName", ())
    return frozenset(
        str(entry[1]).lower() if entry[0] == "DNS" else str(entry[1])
        for entry in alternatives
        if entry[0] in {"DNS", "URI"}
    )


#: OpenSSL's words for a handshake that failed for the sake of a certificate, on the side that saw it or was told.
_CERTIFICATE_WORDS = ("certificate", "unknown ca", "unknown_ca", "hostname mismatch", "cert_")


def classify(error: Exception) -> Reason:
    """Why a TLS handshake failed."""
    if isinstance(error, TimeoutError):
        return Reason.HANDSHAKE_TIMEOUT
    if isinstance(error, ConnectionError) and "SSL handshake is taking longer" in str(error):
        return Reason.HANDSHAKE_TIMEOUT
    if isinstance(error, ssl.SSLError):
        text = str(error).lower()
        return Reason.CERTIFICATE if any(word in text for word in _CERTIFICATE_WORDS) else Reason.GARBAGE
    return Reason.LOST
