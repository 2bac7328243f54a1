"""The built-in certificate authority: what a root is, when it rotates, and how a leaf is signed.

No I/O and no state: rows of the catalog, settings and times come in, rows and PEM texts come out; `authority.py` puts
them into the log. The root signs leafs directly. A new root is cross-signed by the old one unless it is told not to be;
leafs then carry that certificate, so that a peer which trusts only the old root follows. Both stay trusted until the
old one has been out for twice a leaf's life.

Source: surface rows CN1, CN2, M60-M65; stages A-E of leaf.md of the golden mesh data. What may change here: nothing
that a client of Consul reads from a root or leaf.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from meshagent.catalog.ca import CARoot
from meshagent.connect import spiffe
from meshagent.connect.ca_config import CASettings
from meshagent.errors import BadRequest, InternalError, RemoteProtocolError

__all__ = [
    "NAME",
    "BuiltRoot",
    "SignedLeaf",
    "Vouched",
    "agent_identity",
    "build_root",
    "cross_signed",
    "outlived",
    "rotation_reason",
    "server_identity",
    "service_identity",
    "sign",
    "sign_intermediate",
    "signing_certificate",
]

#: What every root of the built-in provider is called.
NAME = "Consul CA Primary Cert"
_LOW_64 = 2**64 - 1
#: Names by which servers are known (`server.<datacenter>.<domain>`, `<node>.server.<datacenter>.<domain>`).
_SERVERS_NAME = re.compile(r"(?:^|\.)server\.[^.]+\.[^.]", re.IGNORECASE)


@dataclass(frozen=True, slots=True, repr=False)
class BuiltRoot:
    """A root and its private key (PEM)."""

    row: CARoot
    key: bytes


class SignedLeaf(msgspec.Struct, frozen=True, array_like=True):
    """A leaf. `chain` is the PEM text of the leaf and the intermediates after it; times are RFC 3339."""

    serial: str
    chain: str
    service: str
    uri: str
    valid_after: str
    valid_before: str
    index: int
    root_id: str


def build_root(settings: CASettings, cluster_id: str, label: str, serial: int, now: datetime) -> BuiltRoot:
    """A fresh root, or the one that the settings bring along. `label` is 7 or 8 letters that make its name its own.

    Raises:
        InternalError: an own key or root that cannot be used.
    """
    from meshagent.connect import certs

    trust_domain = f"{cluster_id}.consul"
    if settings.private_key:
        key = settings.private_key.encode()
        try:
            key_type, key_bits = certs.key_facts(key)
        except RemoteProtocolError as error:
            raise InternalError(
                "error generating CA root certificate: error generating CA: error parsing private key: "
                "no PEM-encoded data found"
            ) from error
    else:
        key_type, key_bits = settings.key_type, settings.key_bits
        key = certs.new_key(key_type, key_bits)
    if settings.root_cert:
        pem = settings.root_cert.strip().encode() + b"\n"
    else:
        name = f"pri-{label}.consul.ca.{cluster_id[:8]}.consul"
        uri = spiffe.format(spiffe.SpiffeID(trust_domain, spiffe.AUTHORITY))
        pem = certs.root(key, name, uri, serial, now, settings.root_life)
    try:
        found = certs.facts(pem)
    except RemoteProtocolError as error:
        raise InternalError(f"error configuring provider: RootCert: {error}") from error
    if settings.root_cert:
        _check_own(found, certs.key_matches(key, pem), now)
    row = CARoot(
        id=found.fingerprint,
        name=NAME,
        serial=found.serial & _LOW_64,
        signing_key_id=found.subject_key_id,
        external_trust_domain=cluster_id,
        not_before=_text(found.not_before),
        not_after=_text(found.not_after),
        root_cert=pem.decode("ascii"),
        key_type=key_type,
        key_bits=key_bits,
    )
    return BuiltRoot(row, key)


def _check_own(found: object, matches: bool, now: datetime) -> None:
    from meshagent.connect.certs import CertificateFacts

    if isinstance(found, CertificateFacts):
        prefix = "error configuring provider: RootCert"
        if not found.is_ca:
            raise InternalError(f"{prefix} is not the certificate of an authority (CA:TRUE)")
        if not matches:
            raise InternalError(f"{prefix} does not belong to PrivateKey")
        if not found.not_before <= now < found.not_after:
            raise InternalError(f"{prefix} is valid from {_text(found.not_before)} to {_text(found.not_after)} only")


def rotation_reason(settings: CASettings, active: CARoot | None, active_key: bytes | None) -> str:
    """Why these settings need another root than the active one; "" when they do not.

    Only type and size of the key, an own key or an own root make one: lives of certificates do not.
    """
    if active is None:
        return "there is no root"
    if settings.root_cert:
        from meshagent.connect import certs

        try:
            given = certs.facts(settings.root_cert.encode()).fingerprint
        except RemoteProtocolError as error:
            raise InternalError(f"error configuring provider: RootCert: {error}") from error
        return "" if given == active.id else "another root certificate"
    if settings.private_key:
        from meshagent.connect import certs

        try:
            same = certs.key_matches(settings.private_key.encode(), active.root_cert.encode())
        except RemoteProtocolError:
            same = False
        return "" if same else "another private key"
    if (settings.key_type, settings.key_bits) != (active.key_type, active.key_bits):
        return f"key {settings.key_type} {settings.key_bits} in place of {active.key_type} {active.key_bits}"
    return ""


def cross_signed(new: BuiltRoot, old: CARoot, old_key: bytes, serial: int, now: datetime) -> BuiltRoot:
    """The new root with itself, signed by the old one, as intermediate."""
    from meshagent.connect import certs

    pem = certs.cross_sign(new.row.root_cert.encode(), old.root_cert.encode(), old_key, serial, now)
    kept = (*new.row.intermediates, pem.decode("ascii"))
    return BuiltRoot(msgspec.structs.replace(new.row, intermediates=kept), new.key)


@dataclass(frozen=True, slots=True)
class Vouched:
    """What a certificate may say of its holder: a SPIFFE id, and further DNS names and IP addresses."""

    uri: str
    names: tuple[str, ...] = ()


def service_identity(
    request_pem: bytes,
    trust_domain: str,
    datacenter: str,
    may_bear: Callable[[str, str], bool] = lambda *_: False,
) -> Vouched:
    """The service that a request asks for. `may_bear` says whether a service may bear a DNS name; others are left out.

    Raises:
        RemoteProtocolError: no usable request.
        BadRequest: an identity that this authority does not vouch for.
    """
    from meshagent.connect import certs

    uri, names = certs.requested(request_pem)
    identity = spiffe.parse(uri)
    if identity.kind != spiffe.SERVICE:
        raise BadRequest("SPIFFE ID in CSR must be a service")
    if identity.trust_domain != trust_domain:
        raise BadRequest(f"SPIFFE ID in CSR is of the trust domain {identity.trust_domain}, not {trust_domain}")
    if identity.datacenter != datacenter:
        raise BadRequest(f"SPIFFE ID in CSR from a different datacenter: {identity.datacenter}, we are {datacenter}")
    return Vouched(uri, tuple(name for name in names if may_bear(identity.name, name)))


def agent_identity(request_pem: bytes, trust_domain: str, datacenter: str, node: str) -> Vouched:
    """The client agent `node`, as its request asks. It asks before it knows the trust domain: that is filled in.

    Raises:
        RemoteProtocolError: no usable request.
        BadRequest: another identity than the agent's own, or the name of a server.
    """
    from meshagent.connect import certs

    uri, names = certs.requested(request_pem)
    identity = spiffe.parse(uri)
    if identity.kind != spiffe.AGENT:
        raise BadRequest("SPIFFE ID in CSR must be an agent")
    if identity.datacenter != datacenter:
        raise BadRequest(f"SPIFFE ID in CSR from a different datacenter: {identity.datacenter}, we are {datacenter}")
    if identity.name.lower() != node.lower():
        raise BadRequest(f"SPIFFE ID in CSR is for the agent {identity.name!r}, asked by {node!r}")
    for name in names:
        if "*" in name or _SERVERS_NAME.search(name):
            raise BadRequest(f"the name {name!r} in the CSR is not for a client agent")
    own = spiffe.format(spiffe.SpiffeID(trust_domain, spiffe.AGENT, datacenter, identity.name))
    return Vouched(own, tuple(names))


def server_identity(request_pem: bytes, trust_domain: str, datacenter: str) -> Vouched:
    """This datacenter's servers, as peers see them; only a server itself asks for it.

    Raises:
        RemoteProtocolError: no usable request.
        BadRequest: another identity than the servers'.
    """
    from meshagent.connect import certs

    uri, names = certs.requested(request_pem)
    if uri != spiffe.format(spiffe.SpiffeID(trust_domain, spiffe.SERVER, datacenter)):
        raise BadRequest("SPIFFE ID in CSR must be that of the servers")
    return Vouched(uri, tuple(names))


def sign(
    request_pem: bytes,
    vouched: Vouched,
    root: CARoot,
    key: bytes,
    life: timedelta,
    serial: int,
    index: int,
    now: datetime,
) -> SignedLeaf:
    """The certificate of a request for what the authority vouches for. Raises RemoteProtocolError."""
    from meshagent.connect import certs

    issuer, uri, names = signing_certificate(root).encode(), vouched.uri, vouched.names
    pem = certs.service_leaf(request_pem, issuer, key, serial, now, life, uri, names)
    return _signed(pem, root, spiffe.parse(uri).name, uri, serial, index)


def _signed(pem: bytes, root: CARoot, name: str, uri: str, serial: int, index: int) -> SignedLeaf:
    from meshagent.connect import certs

    found = certs.facts(pem)
    return SignedLeaf(
        serial=certs.serial_text(serial),
        chain="".join((pem.decode("ascii"), *root.intermediates)),
        service=name,
        uri=uri,
        valid_after=_text(found.not_before),
        valid_before=_text(found.not_after),
        index=index,
        root_id=root.id,
    )


def sign_intermediate(
    request_pem: bytes,
    trust_domain: str,
    root: CARoot,
    key: bytes,
    life: timedelta,
    serial: int,
    now: datetime,
) -> str:
    """The intermediate (PEM) of another datacenter for its request.

    Raises:
        RemoteProtocolError: no usable request.
        BadRequest: it asks for anything but the trust domain itself.
    """
    from meshagent.connect import certs
    from meshagent.connect.intermediates import intermediate

    uri, names = certs.requested(request_pem)
    if names or uri != spiffe.format(spiffe.SpiffeID(trust_domain, spiffe.AUTHORITY)):
        raise BadRequest(f"the CSR of an intermediate must be for spiffe://{trust_domain} alone")
    return intermediate(request_pem, root.root_cert.encode(), key, serial, now, life, uri).decode("ascii")


def signing_certificate(root: CARoot) -> str:
    """The certificate (PEM) whose key signs leafs: the root's own, or an intermediate of another datacenter."""
    return _signing(root.root_cert, root.intermediates, root.signing_key_id)


@functools.lru_cache(maxsize=8)
def _signing(root_cert: str, intermediates: tuple[str, ...], signing_key_id: str) -> str:
    from meshagent.connect import certs

    found = (pem for pem in intermediates if certs.facts(pem.encode()).subject_key_id == signing_key_id)
    own = certs.facts(root_cert.encode()).subject_key_id == signing_key_id
    return root_cert if own else next(found, root_cert)


def outlived(roots: Iterable[CARoot], settings: CASettings, now: datetime) -> tuple[str, ...]:
    """Ids of the roots that no leaf can need any more: out for twice a leaf's life."""
    return tuple(
        root.id
        for root in roots
        if not root.active
        and root.rotated_out_at
        and now - datetime.fromisoformat(root.rotated_out_at) > 2 * settings.leaf_life
    )


def label_of(seed: bytes) -> str:
    """Seven letters and digits for the name of a root."""
    letters = "0123456789abcdefghijklmnopqrstuvwxyz"
    number = int.from_bytes(hashlib.sha256(seed).digest(), "big")
    return "".join(letters[number // 36**at % 36] for at in range(7))


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
