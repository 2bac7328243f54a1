"""A peer's certificate: its URIs and its end; any other bytes are refused."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta

import hypothesis.strategies as st
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from meshtest.meshcerts import TrustDomain

from meshagent.connect.peer_certificate import peer_facts
from meshagent.errors import RemoteProtocolError

TD = TrustDomain()
DER = ssl.PEM_cert_to_DER_cert(TD.leaf("web")[0])


def test_uris_and_end_are_read() -> None:
    uris, end = peer_facts(DER)
    assert uris == (TD.identity("web"),)
    assert abs(end - TD.now - timedelta(hours=1)) < timedelta(minutes=2)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        peer_facts(data)


def library(der: bytes) -> tuple[tuple[str, ...], datetime]:
    """What `cryptography` reads. Raises ValueError and others of its own."""
    certificate = x509.load_der_x509_certificate(der)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return tuple(names.get_values_for_type(x509.UniformResourceIdentifier)), certificate.not_valid_after_utc


@given(st.integers(0, len(DER) - 1), st.integers(0, 255))
def test_a_changed_byte_is_refused_or_read_as_the_library_reads_it(at: int, value: int) -> None:
    changed = DER[:at] + bytes([value]) + DER[at + 1 :]
    try:
        facts = peer_facts(changed)
    except RemoteProtocolError:
        return
    try:
        expected = library(changed)
    except x509.ExtensionNotFound:
        assert facts[0] == ()
    except (ValueError, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        pass  # stricter, in fields that are not looked at here
    else:
        assert facts == expected


KEY = ec.generate_private_key(ec.SECP256R1())


def made(ends: datetime, *names: x509.GeneralName) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a subject")])
    builder = x509.CertificateBuilder(name, name, KEY.public_key(), 1 << 150, datetime(2020, 1, 1, tzinfo=UTC), ends)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize("year", [2026, 2049, 2050, 2130])
def test_both_forms_of_time_are_read(year: int) -> None:
    end = datetime(year, 2, 28, 23, 59, 58, tzinfo=UTC)
    assert peer_facts(made(end)) == ((), end)


@given(st.lists(st.text("abc/:.%0", min_size=1, max_size=300), max_size=4))
def test_all_uris_among_other_names_are_read(uris: list[str]) -> None:
    names = [x509.DNSName("host"), *map(x509.UniformResourceIdentifier, uris), x509.RFC822Name("a@b")]
    assert peer_facts(made(datetime(2040, 1, 1, tzinfo=UTC), *names))[0] == tuple(uris)


def test_a_second_list_of_names_is_refused() -> None:
    der = made(datetime(2040, 1, 1, tzinfo=UTC), x509.UniformResourceIdentifier("spiffe://a/b"))
    twice = der.replace(b"\x06\x03\x55\x1d\x13", b"\x06\x03\x55\x1d\x11")  # the constraints called names
    assert twice != der
    with pytest.raises(RemoteProtocolError):
        peer_facts(twice)
