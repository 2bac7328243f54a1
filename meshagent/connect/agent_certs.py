"""Certificates of agents themselves (RPC, HTTPS, gRPC): an own authority and leafs, made on the command line.

They have nothing to do with the mesh's authority. Beside `certs.py` the other door to `cryptography`.

Source: surface row CL22; developer.hashicorp.com/consul/commands/tls; RFC 5280. Names and files are Consul's, so that
configurations and scripts stay. What may change here: lives and key sizes.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from meshagent.connect import certs, spiffe
from meshagent.errors import BadRequest, RemoteProtocolError

__all__ = ["AUTH", "agent_ca", "agent_leaf"]

_CA_USAGE = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
_LEAF_USAGE = x509.KeyUsage(True, False, True, False, False, False, False, False, False)
_SERVER, _CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
#: What each kind of certificate is good for.
AUTH = {"server": (_SERVER, _CLIENT), "client": (_CLIENT, _SERVER), "cli": (_CLIENT,)}


def agent_ca(
    now: datetime, days: int, common_name: str, constraints: Sequence[str] = (), cluster_id: str = ""
) -> tuple[bytes, bytes]:
    """(certificate, private key) of an authority for agents, ECDSA P-256.

    `constraints` are the domains it may sign for, none meaning all; `cluster_id` becomes a SPIFFE id in it.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    serial = secrets.randbits(128)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name or f"Consul Agent CA {serial}")])
    key_id = x509.SubjectKeyIdentifier(certs.key_id(key.public_key()))
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(_CA_USAGE, critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(key_id, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier(key_id.digest, None, None), critical=False)
    )
    if constraints:
        allowed = [x509.DNSName(domain) for domain in constraints]
        builder = builder.add_extension(x509.NameConstraints(allowed, None), critical=True)
    if cluster_id:
        uri = spiffe.format(spiffe.SpiffeID(f"{cluster_id}.consul", spiffe.AUTHORITY))
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=False
        )
    return _pem(builder.sign(key, hashes.SHA256())), _key_pem(key)


def agent_leaf(
    ca_pem: bytes, ca_key_pem: bytes, kind: str, names: Sequence[str], now: datetime, days: int
) -> tuple[bytes, bytes]:
    """(certificate, private key) for an agent. `names` are DNS names and addresses; the first is the subject.

    Raises:
        BadRequest: authority and key that cannot be used, or do not belong together; a bad name.
    """
    try:
        matches = certs.key_matches(ca_key_pem, ca_pem)
        issuer = certs.load_certificate(ca_pem)
        issuer_key = certs.load_key(ca_key_pem)
    except RemoteProtocolError as error:
        raise BadRequest(f"the authority cannot be used: {error}") from error
    if not matches:
        raise BadRequest("the authority's certificate and key do not belong together")
    key = ec.generate_private_key(ec.SECP256R1())
    alternatives: list[x509.GeneralName] = []
    for name in names:
        try:
            alternatives.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            try:
                alternatives.append(x509.DNSName(name))
            except ValueError as error:
                raise BadRequest(f"{name!r} is no DNS name: {error}") from error
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(secrets.randbits(128))
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(min(now + timedelta(days=days), issuer.not_valid_after_utc))
        .add_extension(_LEAF_USAGE, critical=True)
        .add_extension(x509.ExtendedKeyUsage(AUTH[kind]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier(certs.key_id(key.public_key())), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier(certs.subject_key_id(issuer), None, None), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    )
    return _pem(builder.sign(issuer_key, certs.digest_for(issuer_key))), _key_pem(key)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
