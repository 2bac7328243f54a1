"""`inline-certificate`, `file-system-certificate` (surface row M34): every golden write, and what those do not show."""

from __future__ import annotations

import datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from meshtest.config_entries import golden, http_store, write

from meshagent.catalog.store import Store


@golden("inline-certificate", "file-system-certificate")
def test_it_answers_as_consul(raw: dict[str, Any], error: str) -> None:
    assert write(http_store(), raw) == error


def _pem(key: ec.EllipticCurvePrivateKey) -> tuple[str, str]:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a")])
    day = datetime.datetime(2024, 1, 1)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(day).not_valid_after(day)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM).decode(), private


def test_certificate_and_key_belong_together() -> None:
    certificate, key = _pem(ec.generate_private_key(ec.SECP256R1()))
    _, other = _pem(ec.generate_private_key(ec.SECP256R1()))
    entry = {"Kind": "inline-certificate", "Name": "c", "Certificate": certificate}
    assert write(Store(), {**entry, "PrivateKey": key}) == ""
    assert write(Store(), {**entry, "PrivateKey": other}) == "tls: private key does not match public key"
    assert write(Store(), {**entry, "PrivateKey": key, "Certificate": "x"}) == "failed to parse certificate PEM"
