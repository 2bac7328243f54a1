"""X.509 of other datacenters' authorities: the certificate below the root that each of them signs its leafs with.

Beside `certs.py` another door to `cryptography`, imported where it is used. Source: surface row M67; "Secondary
datacenter" of leaf.md of the golden mesh data. What may change here: nothing, but to follow what was watched.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from meshagent.connect import certs

__all__ = ["intermediate"]


def intermediate(
    request_pem: bytes, root_pem: bytes, root_key: bytes, serial: int, now: datetime, life: timedelta, uri: str
) -> bytes:
    """The certificate (PEM) for the request's key and the trust domain `uri`, below the root; no authority below it.

    Raises:
        RemoteProtocolError: no request, or its signature does not fit its key.
    """
    asked, _ = certs.load_request(request_pem)
    above, key = certs.load_certificate(root_pem), certs.load_key(root_key)
    start = now - certs.BACKDATE
    end = min(start + life, above.not_valid_after_utc)
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])
    builder = (
        certs.builder_of(certs.EMPTY_NAME, above.subject, asked.public_key(), serial, start, end)
        .add_extension(certs.CA_USAGE, critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier(certs.key_id(asked.public_key())), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier(certs.subject_key_id(above), None, None), critical=False)
        .add_extension(names, critical=True)
    )
    return builder.sign(key, certs.digest_for(key)).public_bytes(serialization.Encoding.PEM)
