"""What a proxy has to know of a peer's certificate, which TLS has verified. Beside `certs.py` a door to `cryptography`.

A proxy reads few certificates and signs none: it does not load what signs.

Source: RFC 5280 section 4.2.1.6; SPIFFE X.509-SVID section 2 (one URI). What may change here: further fields.
"""

from __future__ import annotations

from datetime import datetime

from cryptography import x509

from meshagent.errors import RemoteProtocolError

__all__ = ["peer_facts"]


def peer_facts(der: bytes) -> tuple[tuple[str, ...], datetime]:
    """(the URIs, the end) of a certificate, DER.

    Raises:
        RemoteProtocolError: no certificate, or one that cannot be understood.
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
        try:
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            return (), certificate.not_valid_after_utc
        return tuple(names.get_values_for_type(x509.UniformResourceIdentifier)), certificate.not_valid_after_utc
    except (ValueError, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise RemoteProtocolError("the certificate cannot be understood") from error
