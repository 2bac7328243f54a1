"""Names of cipher suites: those of IANA (and Go, and config entries) in OpenSSL's words, which Envoy uses, too.

Source: openssl.org `openssl-ciphers`, "CIPHER SUITE NAMES". What may change here: rules for further suites.
"""

from __future__ import annotations

__all__ = ["openssl_name"]


def openssl_name(suite: str) -> str:
    """OpenSSL's name of a suite given under its IANA name, as Go writes them; other names stay."""
    suite = suite.strip()
    if not suite.startswith("TLS_") or "_WITH_" not in suite:
        return suite
    key_exchange, cipher = suite.removeprefix("TLS_").split("_WITH_", 1)
    short = cipher.replace("AES_128_", "AES128-").replace("AES_256_", "AES256-").replace("CBC_", "")
    short = "CHACHA20-POLY1305" if short.startswith("CHACHA20_POLY1305") else short.replace("_", "-")
    return short if key_exchange == "RSA" else f"{key_exchange.replace('_', '-')}-{short}"
