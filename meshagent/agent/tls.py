"""I/O edge: TLS contexts of our listeners, from certificate files or from what the servers gave (`auto_encrypt`).

Source: surface rows G15, G16. `verify_incoming` demands a certificate that the configured authorities signed, or those
that the servers handed out.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from meshagent.catalog.rpc.tls import Credentials, load_chain
from meshagent.connect.cipher_suites import openssl_name
from meshagent.errors import ConfigError

if TYPE_CHECKING:
    from meshagent.agent.config.security import TLSProtocol

__all__ = ["server_context"]

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


def server_context(
    tls: TLSProtocol, name: str, *, alpn: tuple[str, ...] = ("http/1.1",), given: Credentials | None = None
) -> ssl.SSLContext:
    """The context of a listener; `name` is the block of the configuration it comes from ("tls.https").

    `given` counts where no certificate is configured; without one, as in Consul, there is a listener of which every
    handshake fails.

    Raises:
        ConfigError: a file is missing or not what it should be; names the option.
    """
    if bool(tls.cert_file) != bool(tls.key_file):
        raise ConfigError(f"{name}: cert_file and key_file go together")
    more = given or Credentials()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[(tls.tls_min_version or "TLSv1_2").lower()]
    context.set_alpn_protocols(list(alpn))
    try:
        if tls.cert_file:
            context.load_cert_chain(tls.cert_file, tls.key_file)
        elif more.chain:
            load_chain(context, more.chain, more.key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{name}: cert_file {tls.cert_file!r} with key_file {tls.key_file!r}: {error}") from error
    if tls.verify_incoming:
        if not tls.ca_file and not tls.ca_path and given is None:
            raise ConfigError(f"{name}: verify_incoming needs ca_file or ca_path")
        try:
            if tls.ca_file or tls.ca_path:
                context.load_verify_locations(tls.ca_file or None, tls.ca_path or None)
            for pem in more.authorities:
                context.load_verify_locations(cadata=pem)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"{name}: ca_file {tls.ca_file or tls.ca_path!r}: {error}") from error
        context.verify_mode = ssl.CERT_REQUIRED
    if tls.tls_cipher_suites:
        names = ":".join(openssl_name(suite) for suite in tls.tls_cipher_suites.split(","))
        try:
            context.set_ciphers(names)
        except ssl.SSLError as error:
            raise ConfigError(f"{name}: tls_cipher_suites {tls.tls_cipher_suites!r}: {error}") from error
    return context
