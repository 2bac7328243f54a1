"""The certificate another datacenter signs with, as it was watched (surface row M67)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from meshagent.connect import certs
from meshagent.connect.intermediates import intermediate
from meshagent.errors import RemoteProtocolError

NOW = datetime(2024, 1, 1, tzinfo=UTC)
URI = "spiffe://td.consul"


def made(life: timedelta = timedelta(days=365)) -> tuple[bytes, bytes]:
    """(root, intermediate)"""
    key = certs.new_key("ec", 256)
    root = certs.root(key, "pri-x.consul.ca.td.consul", URI, 1, NOW, timedelta(days=3650))
    request = certs.request(certs.new_key("ec", 256), URI)
    return root, intermediate(request, root, key, 9, NOW, life, URI)


def test_it_has_the_profile_that_was_watched() -> None:
    root, pem = made()
    found = x509.load_pem_x509_certificate(pem)
    assert certs.verify_signed_by(pem, root)
    assert (found.subject, found.serial_number) == (x509.Name([]), 9)
    assert (found.not_valid_before_utc, found.not_valid_after_utc) == (
        NOW - timedelta(minutes=1),
        NOW - timedelta(minutes=1) + timedelta(days=365),
    )
    assert [(ext.oid, ext.critical) for ext in found.extensions] == [
        (ExtensionOID.KEY_USAGE, True),
        (ExtensionOID.BASIC_CONSTRAINTS, True),
        (ExtensionOID.SUBJECT_KEY_IDENTIFIER, False),
        (ExtensionOID.AUTHORITY_KEY_IDENTIFIER, False),
        (ExtensionOID.SUBJECT_ALTERNATIVE_NAME, True),
    ]
    constraints = found.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (constraints.ca, constraints.path_length) == (True, 0)
    assert certs.facts(pem).uris == (URI,)


def test_it_ends_with_its_root_at_the_latest() -> None:
    root, pem = made(timedelta(days=36500))
    assert certs.facts(pem).not_after == certs.facts(root).not_after


def test_no_request_is_no_intermediate() -> None:
    key = certs.new_key("ec", 256)
    root = certs.root(key, "x", URI, 1, NOW, timedelta(days=1))
    with pytest.raises(RemoteProtocolError):
        intermediate(b"x", root, key, 1, NOW, timedelta(days=1), URI)
