"""X.509: building and reading certificates, keys and requests. The only door to `cryptography`.

Everything here is bytes in, bytes out; who signs what and for how long is decided by others. Times are arguments; keys
come from the generator of the operating system, and nowhere else. Importing this module costs 0.1 s and 10 MB, so it
is imported where it is used.

Source: RFC 5280; the certificate profiles of a running Consul 1.20.1 (leaf.md of the golden mesh data; surface rows
M62, M64, M65). Extensions stand in the order Consul writes them. What may change here: further profiles; a profile
follows what was watched.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from meshagent.errors import BadRequest, RemoteProtocolError

__all__ = [
    "MAX_PEM_BYTES",
    "CertificateFacts",
    "cross_sign",
    "facts",
    "key_facts",
    "key_matches",
    "new_key",
    "request",
    "requested",
    "root",
    "service_leaf",
    "verify_signed_by",
]

E = TypeVar("E", bound=x509.ExtensionType)
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

#: No certificate, key or request of the mesh is longer; an RSA 4096 root is 2 KiB.
MAX_PEM_BYTES = 64 * 1024
#: DNS names and addresses that one request may ask for.
MAX_NAMES = 64
#: How far clocks may be apart: notBefore of what is signed for others lies so much in the past.
BACKDATE = timedelta(minutes=1)
#: Life of a cross-signed certificate (surface row M65).
CROSS_SIGNED_LIFE = timedelta(days=7)

_CURVES: dict[int, type[ec.EllipticCurve]] = {
    224: ec.SECP224R1, 256: ec.SECP256R1, 384: ec.SECP384R1, 521: ec.SECP521R1,
}  # fmt: skip
CA_USAGE = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
_LEAF_USAGE = x509.KeyUsage(True, False, True, True, True, False, False, False, False)
_BOTH_WAYS = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH)
EMPTY_NAME = x509.Name([])


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What a certificate says. `fingerprint` is Consul's id of a root: SHA-1 in lower-case pairs with colons."""

    fingerprint: str
    serial: int
    subject: str
    issuer: str
    subject_key_id: str
    authority_key_id: str
    not_before: datetime
    not_after: datetime
    is_ca: bool
    uris: tuple[str, ...]
    dns_names: tuple[str, ...]
    key_type: str
    key_bits: int


# --- keys -------------------------------------------------------------------------------------------------------------


def new_key(type_: str, bits: int) -> bytes:
    """A fresh private key in PEM: `ec` (224, 256, 384, 521) as SEC1, `rsa` (2048, 4096) as PKCS#1."""
    key: PrivateKey
    if type_ == "ec":
        key = ec.generate_private_key(_CURVES[bits]())
    else:
        key = rsa.generate_private_key(65537, bits)
    return _key_pem(key)


def key_facts(pem: bytes) -> tuple[str, int]:
    """(`ec` or `rsa`, bits) of a private key. Raises RemoteProtocolError for anything else."""
    key = load_key(pem)
    return ("ec", key.curve.key_size) if isinstance(key, ec.EllipticCurvePrivateKey) else ("rsa", key.key_size)


def key_matches(key_pem: bytes, certificate_pem: bytes) -> bool:
    """Whether the private key belongs to the certificate."""
    return _spki(load_key(key_pem).public_key()) == _spki(load_certificate(certificate_pem).public_key())


def load_key(pem: bytes) -> PrivateKey:
    """A private key, EC or RSA. Raises RemoteProtocolError."""
    try:
        key = serialization.load_pem_private_key(_bounded(pem), None)
    except (ValueError, TypeError) as error:
        raise RemoteProtocolError("no usable private key in PEM form") from error
    if isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        return key
    raise RemoteProtocolError("the private key is neither EC nor RSA")


def _key_pem(key: PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def load_certificate(pem: bytes) -> x509.Certificate:
    """A certificate. Raises RemoteProtocolError."""
    try:
        return x509.load_pem_x509_certificate(_bounded(pem))
    except ValueError as error:
        raise RemoteProtocolError("no usable certificate in PEM form") from error


def _bounded(pem: bytes) -> bytes:
    if len(pem) > MAX_PEM_BYTES:
        raise RemoteProtocolError(f"{len(pem)} bytes of PEM are too many, at most {MAX_PEM_BYTES}")
    return pem


def _spki(public_key: object) -> bytes:
    der: bytes = public_key.public_bytes(  # type: ignore[attr-defined]
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return der


def key_id(public_key: object) -> bytes:
    """Consul's key id: SHA-256 of the SubjectPublicKeyInfo."""
    return hashlib.sha256(_spki(public_key)).digest()


def digest_for(key: PrivateKey) -> hashes.SHA256 | hashes.SHA384 | hashes.SHA512:
    """The digest goes with the signing key."""
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.key_size > 256:
        return hashes.SHA384() if key.curve.key_size == 384 else hashes.SHA512()
    return hashes.SHA256()


# --- certificates of the mesh -----------------------------------------------------------------------------------------


def root(key_pem: bytes, common_name: str, uri: str, serial: int, now: datetime, life: timedelta) -> bytes:
    """A self-signed root for the trust domain `uri`."""
    key = load_key(key_pem)
    name = _name(common_name)
    own_id = key_id(key.public_key())
    builder = (
        builder_of(name, name, key.public_key(), serial, now, now + life)
        .add_extension(CA_USAGE, critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier(own_id), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier(own_id, None, None), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=False)
    )
    return _pem(builder.sign(key, digest_for(key)))


def cross_sign(new_root: bytes, old_root: bytes, old_key: bytes, serial: int, now: datetime) -> bytes:
    """The new root's subject and key, signed by the old root: who trusts only that one can follow for seven days."""
    new, old, key = load_certificate(new_root), load_certificate(old_root), load_key(old_key)
    end = min(now + CROSS_SIGNED_LIFE, old.not_valid_after_utc)
    builder = (
        builder_of(new.subject, old.subject, new.public_key(), serial, now - BACKDATE, end)
        .add_extension(CA_USAGE, critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier(subject_key_id(new)), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier(subject_key_id(old), None, None), critical=False)
    )
    names = _extension(new, x509.SubjectAlternativeName)
    if names is not None:
        builder = builder.add_extension(names, critical=False)
    return _pem(builder.sign(key, digest_for(key)))


def service_leaf(
    request_pem: bytes,
    issuer_certificate: bytes,
    issuer_key: bytes,
    serial: int,
    now: datetime,
    life: timedelta,
    uri: str,
    names: Sequence[str] = (),
) -> bytes:
    """The leaf for a request: its key, and the identity `uri` that the signer vouches for.

    `names` are further DNS names and IP addresses.

    Raises:
        RemoteProtocolError: no request, or its signature does not fit its key.
    """
    asked, _ = load_request(request_pem)
    issuer, key = load_certificate(issuer_certificate), load_key(issuer_key)
    start = now - BACKDATE
    end = min(start + life, issuer.not_valid_after_utc)
    builder = (
        builder_of(EMPTY_NAME, issuer.subject, asked.public_key(), serial, start, end)
        .add_extension(_LEAF_USAGE, critical=True)
        .add_extension(x509.ExtendedKeyUsage(_BOTH_WAYS), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier(key_id(asked.public_key())), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier(subject_key_id(issuer), None, None), critical=False)
        .add_extension(_alternatives(names, uri), critical=True)
    )
    return _pem(builder.sign(key, digest_for(key)))


def request(key_pem: bytes, uri: str, names: Sequence[str] = ()) -> bytes:
    """A certificate request (PEM) for an identity; `names` are further DNS names and IP addresses.

    Raises:
        BadRequest: a name that is none.
    """
    key = load_key(key_pem)
    builder = x509.CertificateSigningRequestBuilder().subject_name(EMPTY_NAME)
    builder = builder.add_extension(_alternatives(names, uri), critical=False)
    return builder.sign(key, digest_for(key)).public_bytes(serialization.Encoding.PEM)


def requested_uri(request_pem: bytes) -> str:
    """The one URI that a request asks for.

    Raises:
        RemoteProtocolError: no request, a wrong signature, or not exactly one URI.
    """
    return requested(request_pem)[0]


def requested(request_pem: bytes) -> tuple[str, list[str]]:
    """(the one URI, DNS names and IP addresses) that a request asks for.

    Raises:
        RemoteProtocolError: no request, a wrong signature, not exactly one URI, or too many names.
    """
    asked, uris = load_request(request_pem)
    if len(uris) != 1:
        raise RemoteProtocolError(f"the request names {len(uris)} URIs, exactly one is wanted")
    names: list[str] = []
    for extension in asked.extensions:
        if isinstance(extension.value, x509.SubjectAlternativeName):
            names += extension.value.get_values_for_type(x509.DNSName)
            names += map(str, extension.value.get_values_for_type(x509.IPAddress))
    if len(names) > MAX_NAMES:
        raise RemoteProtocolError(f"the request asks for {len(names)} names, at most {MAX_NAMES}")
    return uris[0], names


def _alternatives(names: Sequence[str], uri: str) -> x509.SubjectAlternativeName:
    found: list[x509.GeneralName] = []
    for name in names:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            try:
                found.append(x509.DNSName(name))
            except ValueError as error:
                raise BadRequest(f"{name!r} is no DNS name: {error}") from error
    return x509.SubjectAlternativeName([*found, x509.UniformResourceIdentifier(uri)])


def load_request(pem: bytes) -> tuple[x509.CertificateSigningRequest, list[str]]:
    """(a request that is signed by its key, the URIs it asks for). Raises RemoteProtocolError."""
    try:
        asked = x509.load_pem_x509_csr(_bounded(pem))
        valid = asked.is_signature_valid
        key = asked.public_key()
        names = [ext.value for ext in asked.extensions if isinstance(ext.value, x509.SubjectAlternativeName)]
        uris = [uri for name in names for uri in name.get_values_for_type(x509.UniformResourceIdentifier)]
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise RemoteProtocolError("no usable certificate request in PEM form") from error
    if not valid:
        raise RemoteProtocolError("the certificate request is not signed by its key")
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        raise RemoteProtocolError("the key of the certificate request is neither EC nor RSA")
    if isinstance(key, rsa.RSAPublicKey) and not 2048 <= key.key_size <= 8192:
        raise RemoteProtocolError(f"an RSA key of {key.key_size} bits is not accepted, 2048 to 8192 are")
    return asked, uris


# --- reading ----------------------------------------------------------------------------------------------------------


def facts(pem: bytes) -> CertificateFacts:
    """What a certificate says.

    Raises:
        RemoteProtocolError: no certificate, or one that cannot be understood.
    """
    certificate = load_certificate(pem)
    try:
        constraints = _extension(certificate, x509.BasicConstraints)
        names = _extension(certificate, x509.SubjectAlternativeName)
        authority = _extension(certificate, x509.AuthorityKeyIdentifier)
        key = certificate.public_key()
        subject, issuer = certificate.subject.rfc4514_string(), certificate.issuer.rfc4514_string()
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise RemoteProtocolError("the certificate cannot be understood") from error
    if isinstance(key, ec.EllipticCurvePublicKey):
        kind, bits = "ec", key.curve.key_size
    elif isinstance(key, rsa.RSAPublicKey):
        kind, bits = "rsa", key.key_size
    else:
        kind, bits = "other", 0
    return CertificateFacts(
        fingerprint=colons(certificate.fingerprint(hashes.SHA1())),  # noqa: S303  Consul's id of a root, no protection
        serial=certificate.serial_number,
        subject=subject,
        issuer=issuer,
        subject_key_id=colons(subject_key_id(certificate)),
        authority_key_id=colons(authority.key_identifier or b"") if authority is not None else "",
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        is_ca=bool(constraints is not None and constraints.ca),
        uris=tuple(names.get_values_for_type(x509.UniformResourceIdentifier)) if names is not None else (),
        dns_names=tuple(names.get_values_for_type(x509.DNSName)) if names is not None else (),
        key_type=kind,
        key_bits=bits,
    )


def verify_signed_by(certificate_pem: bytes, issuer_pem: bytes) -> bool:
    """Whether the issuer's key made the certificate's signature; nothing else is looked at."""
    certificate, issuer = load_certificate(certificate_pem), load_certificate(issuer_pem)
    digest = certificate.signature_hash_algorithm
    key = issuer.public_key()
    try:
        if isinstance(key, ec.EllipticCurvePublicKey) and digest is not None:
            key.verify(certificate.signature, certificate.tbs_certificate_bytes, ec.ECDSA(digest))
        elif isinstance(key, rsa.RSAPublicKey) and digest is not None:
            key.verify(certificate.signature, certificate.tbs_certificate_bytes, padding.PKCS1v15(), digest)
        else:
            return False
    except InvalidSignature:
        return False
    return True


def colons(data: bytes) -> str:
    """`0a:ff`: how Consul writes serials, key ids and fingerprints."""
    return data.hex(":")


def serial_text(serial: int) -> str:
    """A serial number as the leaf answer has it: `0d`, `01:2a`."""
    return colons(serial.to_bytes(max(1, (serial.bit_length() + 7) // 8), "big"))


def subject_key_id(certificate: x509.Certificate) -> bytes:
    """The key id of a certificate's own key."""
    found = _extension(certificate, x509.SubjectKeyIdentifier)
    return found.digest if found is not None else key_id(certificate.public_key())


def _extension(certificate: x509.Certificate, type_: type[E]) -> E | None:
    try:
        return certificate.extensions.get_extension_for_class(type_).value
    except x509.ExtensionNotFound:
        return None


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def builder_of(
    subject: x509.Name, issuer: x509.Name, public_key: object, serial: int, start: datetime, end: datetime
) -> x509.CertificateBuilder:
    """One without extensions yet."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)  # type: ignore[arg-type]
        .serial_number(serial)
        .not_valid_before(start)
        .not_valid_after(end)
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
