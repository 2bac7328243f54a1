"""`inline-certificate` and `file-system-certificate`: certificates of an api-gateway's listeners.

Source: surface row M34; developer.hashicorp.com/consul/docs/connect/config-entries/inline-certificate and
file-system-certificate. What may change here: fields are added with a default.
"""

from __future__ import annotations

from meshagent.catalog.entries.entry import Entry
from meshagent.catalog.model import always

__all__ = ["FileSystemCertificate", "InlineCertificate"]


class InlineCertificate(Entry, frozen=True, kw_only=True, tag="inline-certificate"):
    """A certificate chain and its key as PEM text."""

    certificate: str = always("")
    private_key: str = always("")

    def problem(self) -> str:
        if "-----BEGIN " not in self.private_key or "PRIVATE KEY-----" not in self.private_key:
            return "failed to parse private key PEM"
        return _pair_problem(self.certificate, self.private_key)


class FileSystemCertificate(Entry, frozen=True, kw_only=True, tag="file-system-certificate"):
    """Paths of a certificate chain and its key on the gateway's host."""

    certificate: str = always("")
    private_key: str = always("")


def _pair_problem(certificate: str, private_key: str) -> str:
    from cryptography import x509  # heavy: only when such an entry is written
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    try:
        key = load_pem_private_key(private_key.encode(), None)
    except (ValueError, TypeError):
        return "failed to parse private key PEM"
    try:
        chain = x509.load_pem_x509_certificates(certificate.encode())
    except ValueError:
        return "failed to parse certificate PEM"
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if chain[0].public_key().public_bytes(*form) != key.public_key().public_bytes(*form):
        return "tls: private key does not match public key"
    return ""
