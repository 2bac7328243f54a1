"""Certificates: profiles as a running Consul's (leaf.md), and what is not a certificate."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import hypothesis.strategies as st
import pytest
from cryptography import x509
from hypothesis import given

from meshagent.connect import certs
from meshagent.errors import RemoteProtocolError

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
TD = "11111111-2222-3333-4444-555555555555.consul"
URI = f"spiffe://{TD}/ns/default/dc/dc1/svc/web"


def make_root(type_: str = "ec", bits: int = 256) -> tuple[bytes, bytes]:
    key = certs.new_key(type_, bits)
    return certs.root(key, "pri-abc.consul.ca.11111111.consul", f"spiffe://{TD}", 7, NOW, timedelta(days=3650)), key


def make_leaf(root: bytes, key: bytes) -> bytes:
    request = certs.request(certs.new_key("ec", 256), URI)
    return certs.service_leaf(request, root, key, 8, NOW, timedelta(hours=72), URI)


def extensions(pem: bytes) -> list[tuple[str, bool]]:
    return [(ext.oid._name, ext.critical) for ext in x509.load_pem_x509_certificate(pem).extensions]


def test_the_root_has_consuls_profile() -> None:
    pem, _ = make_root()
    found = certs.facts(pem)
    assert found.subject == found.issuer == "CN=pri-abc.consul.ca.11111111.consul"
    assert (found.not_before, found.not_after) == (NOW, NOW + timedelta(days=3650))
    assert (found.is_ca, found.uris, found.serial) == (True, (f"spiffe://{TD}",), 7)
    assert len(found.subject_key_id.split(":")) == 32
    assert found.authority_key_id == found.subject_key_id
    assert len(found.fingerprint.split(":")) == 20
    assert extensions(pem) == [
        ("keyUsage", True),
        ("basicConstraints", True),
        ("subjectKeyIdentifier", False),
        ("authorityKeyIdentifier", False),
        ("subjectAltName", False),
    ]


def test_the_leaf_has_consuls_profile() -> None:
    root, key = make_root()
    pem = make_leaf(root, key)
    found, above = certs.facts(pem), certs.facts(root)
    assert (found.subject, found.issuer, found.uris, found.is_ca) == ("", above.subject, (URI,), False)
    assert found.not_before == NOW - timedelta(minutes=1)
    assert found.not_after == found.not_before + timedelta(hours=72)
    assert found.authority_key_id == above.subject_key_id
    assert (found.key_type, found.key_bits) == ("ec", 256)
    assert extensions(pem) == [
        ("keyUsage", True),
        ("extendedKeyUsage", False),
        ("basicConstraints", True),
        ("subjectKeyIdentifier", False),
        ("authorityKeyIdentifier", False),
        ("subjectAltName", True),
    ]
    certificate = x509.load_pem_x509_certificate(pem)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature
    assert usage.key_encipherment
    assert usage.data_encipherment
    assert usage.key_agreement
    assert not usage.key_cert_sign
    purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [purpose._name for purpose in purposes] == ["clientAuth", "serverAuth"]


def test_a_leaf_never_outlives_its_root() -> None:
    key = certs.new_key("ec", 256)
    root = certs.root(key, "r", f"spiffe://{TD}", 1, NOW, timedelta(hours=5))
    assert certs.facts(make_leaf(root, key)).not_after == certs.facts(root).not_after


@pytest.mark.parametrize(
    ("type_", "bits", "digest"),
    [("ec", 256, "sha256"), ("ec", 384, "sha384"), ("ec", 521, "sha512"), ("rsa", 2048, "sha256")],
)
def test_the_signing_key_decides_the_digest(type_: str, bits: int, digest: str) -> None:
    root, key = make_root(type_, bits)
    assert certs.key_facts(key) == (type_, bits)
    leaf = make_leaf(root, key)
    algorithm = x509.load_pem_x509_certificate(leaf).signature_hash_algorithm
    assert algorithm is not None
    assert algorithm.name == digest
    assert certs.facts(leaf).key_bits == 256
    assert certs.verify_signed_by(leaf, root)


def test_a_cross_signed_root_is_the_new_one_signed_by_the_old_for_a_week() -> None:
    old, old_key = make_root()
    new, new_key = make_root("ec", 384)
    cross = certs.cross_sign(new, old, old_key, 9, NOW)
    found = certs.facts(cross)
    assert found.subject_key_id == certs.facts(new).subject_key_id
    assert found.authority_key_id == certs.facts(old).subject_key_id
    assert found.is_ca
    assert found.uris == (f"spiffe://{TD}",)
    assert found.not_before == NOW - timedelta(minutes=1)
    assert found.not_after == NOW + timedelta(days=7)
    assert certs.verify_signed_by(cross, old)
    assert not certs.verify_signed_by(cross, new)
    assert certs.verify_signed_by(make_leaf(new, new_key), cross)


def test_keys_and_certificates_are_told_apart() -> None:
    root, key = make_root()
    assert certs.key_matches(key, root)
    assert not certs.key_matches(certs.new_key("ec", 256), root)
    assert key.startswith(b"-----BEGIN EC PRIVATE KEY-----")


def test_a_request_that_is_not_signed_by_its_key_is_refused() -> None:
    good = x509.load_pem_x509_csr(certs.request(certs.new_key("ec", 256), URI))
    from cryptography.hazmat.primitives.serialization import Encoding

    der = bytearray(good.public_bytes(Encoding.DER))
    at = bytes(der).index(b"svc/web")
    der[at + 4 : at + 7] = b"api"
    import base64

    text = base64.encodebytes(bytes(der))
    forged = b"-----BEGIN CERTIFICATE REQUEST-----\n" + text + b"-----END CERTIFICATE REQUEST-----\n"
    with pytest.raises(RemoteProtocolError, match="not signed by its key"):
        certs.requested_uri(forged)


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_in_our_words(data: bytes) -> None:
    wrapped = b"-----BEGIN CERTIFICATE-----\n" + data + b"\n-----END CERTIFICATE-----\n"
    for function in (certs.facts, certs.key_facts, certs.requested_uri):
        for given_bytes in (data, wrapped):
            with pytest.raises(RemoteProtocolError):
                function(given_bytes)


def test_too_much_pem_is_not_even_looked_at() -> None:
    with pytest.raises(RemoteProtocolError, match="too many"):
        certs.facts(b"x" * (certs.MAX_PEM_BYTES + 1))


def test_serials_are_written_as_consul_writes_them() -> None:
    assert [certs.serial_text(number) for number in (8, 22, 298)] == ["08", "16", "01:2a"]
