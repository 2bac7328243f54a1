"""Whom a gateway takes for a service outside the mesh."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st
from meshtest.certificates import make_ca, make_leaf

from meshagent.connect.proxy.origins import PLAIN, is_for

CA = make_ca()


def der(*names: str) -> bytes:
    return x509.load_pem_x509_certificate(make_leaf(CA, *names)[0]).public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    ("names", "wanted", "found"),
    [
        (["db.example.com"], "db.example.com", True),
        (["db.example.com"], "DB.Example.com", True),
        (["*.example.com"], "db.example.com", True),
        (["*.example.com"], "a.db.example.com", False),
        (["*.example.com"], "example.com", False),
        (["other.example.com"], "db.example.com", False),
        (["a.example.com", "db.example.com"], "db.example.com", True),
    ],
)
def test_the_name_has_to_be_in_the_certificate(names: list[str], wanted: str, found: bool) -> None:
    assert is_for(der(*names), wanted) is found


def test_plain_is_bytes_as_they_are() -> None:
    host: object = None
    assert (PLAIN.tls(host), PLAIN.wrong(None)) == (None, "")  # type: ignore[arg-type]


@given(st.binary(max_size=300))
def test_what_is_no_certificate_is_for_nobody(data: bytes) -> None:
    assert is_for(data, "db.example.com") is False
