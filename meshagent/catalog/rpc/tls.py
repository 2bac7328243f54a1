"""I/O edge: the TLS contexts of the RPC port, and what a peer's certificate says.

Source: developer.hashicorp.com/consul/docs/agent/config/config-files, `tls.internal_rpc` (surface row G15);
RFC 7301 (ALPN); RFC 6125 for names. `verify_incoming`: who dials us must show a certificate of our authorities;
`verify_outgoing`: whom we dial must; `verify_server_hostname`: and it must be one for `server.<datacenter>.<domain>`.

What may be changed: the ALPN word is on the wire; a new version of it is a new word beside the old.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from meshagent.catalog.rpc.hello import server_name
from meshagent.catalog.rpc.reasons import Reason
from meshagent.catalog.rpc.settings import TlsSettings
from meshagent.errors import ConfigError

__all__ = ["ALPN", "Security", "classify", "dns_names", "load_security"]

ALPN = "meshagent/1"
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


@dataclass(frozen=True, slots=True)
class Security:
    """How connections are secured. Without contexts they are plain TCP.

    `domain` is the DNS domain of server names. `prove_dialler`: who dials us as a server must have a server's
    certificate; `prove_listener`: whom we dial must.
    """

    listener: ssl.SSLContext | None = None
    dialler: ssl.SSLContext | None = None
    domain: str = "consul"
    prove_dialler: bool = False
    prove_listener: bool = False

    def hostname(self, datacenter: str) -> str | None:
        """The name for the TLS handshake with a server (also SNI); None for plain TCP."""
        return None if self.dialler is None else server_name(datacenter, self.domain)


def load_security(tls: TlsSettings, domain: str = "consul") -> Security:
    """The contexts for a `tls.internal_rpc` block.

    Raises:
        ConfigError: a file is missing or not what it should be; names the option.
    """
    return Security(
        listener=_listener(tls) if tls.listens else None,
        dialler=_dialler(tls) if tls.dials else None,
        domain=domain,
        prove_dialler=tls.verify_server_hostname and tls.verify_incoming,
        prove_listener=tls.verify_server_hostname,
    )


def _listener(tls: TlsSettings) -> ssl.SSLContext:
    context = _context(ssl.PROTOCOL_TLS_SERVER, tls)
    _load_own(context, tls)
    if tls.verify_incoming:
        _load_authorities(context, tls, "verify_incoming")
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _dialler(tls: TlsSettings) -> ssl.SSLContext:
    context = _context(ssl.PROTOCOL_TLS_CLIENT, tls)
    context.check_hostname = tls.verify_server_hostname
    if tls.verify_outgoing or tls.verify_server_hostname:
        _load_authorities(context, tls, "verify_outgoing")
        context.verify_mode = ssl.CERT_REQUIRED
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.cert_file:
        _load_own(context, tls)
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


def _load_authorities(context: ssl.SSLContext, tls: TlsSettings, option: str) -> None:
    if not tls.ca_file and not tls.ca_path:
        raise ConfigError(f"{_BLOCK}: {option} needs ca_file or ca_path")
    try:
        context.load_verify_locations(tls.ca_file or None, tls.ca_path or None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{_BLOCK}: ca_file {tls.ca_file or tls.ca_path!r}: {error}") from error


def dns_names(secure: ssl.SSLObject | None) -> frozenset[str]:
    """DNS names of the peer's verified certificate, in lower case; none when it showed none, or without TLS."""
    certificate = None if secure is None else secure.getpeercert()
    if not certificate:
        return frozenset()
    alternatives = certificate.get("subjectAltName", ())
    return frozenset(str(entry[1]).lower() for entry in alternatives if entry[0] == "DNS")


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
