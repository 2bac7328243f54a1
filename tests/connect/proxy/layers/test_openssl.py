"""Contexts on the OpenSSL of `cryptography`: what is refused, and that a chain goes out whole."""

from __future__ import annotations

from datetime import timedelta

import hypothesis.strategies as st
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from meshtest.meshcerts import TrustDomain

from meshagent.connect import certs
from meshagent.connect.proxy.layers.openssl import TlsContext, _listed
from meshagent.connect.proxy.layers.tls import Tls
from meshagent.errors import RemoteProtocolError, Unavailable

OLD = TrustDomain()
ROOTS = (OLD.root.decode(),)


def context(chain: str, key: str, roots: tuple[str, ...] = ROOTS, *, server_side: bool = False) -> TlsContext:
    return TlsContext(server_side=server_side, chain=chain, key=key, roots=roots)


def shake(client: TlsContext, server: TlsContext) -> Tls:
    one, other = Tls(client, server_side=False), Tls(server, server_side=True)
    one.start()
    for _ in range(2):
        other.feed(one.outgoing())
        one.feed(other.outgoing())
    assert one.ready
    assert other.ready
    return one


def test_what_vouches_for_a_leaf_is_sent_with_it() -> None:
    """During a rotation: a leaf of the new root with the certificate by which the old one vouches for it."""
    new = TrustDomain(OLD.name)
    crossed = certs.cross_sign(new.root, OLD.root, OLD.key, 9, OLD.now).decode()
    chain, key = new.leaf("api")
    server = context(chain + crossed, key, (*ROOTS, new.root.decode()), server_side=True)
    assert shake(context(*OLD.leaf("web"), (*ROOTS, new.root.decode())), server).identity == new.identity("api")
    only_old = context(*OLD.leaf("web"))
    client, alone = (
        Tls(only_old, server_side=False),
        Tls(context(chain, key, ROOTS, server_side=True), server_side=True),
    )
    client.start()
    alone.feed(client.outgoing())
    with pytest.raises(RemoteProtocolError, match="unable to get local issuer certificate"):
        client.feed(alone.outgoing())
    joined, whole = Tls(only_old, server_side=False), Tls(server, server_side=True)
    joined.start()
    whole.feed(joined.outgoing())
    joined.feed(whole.outgoing())
    assert joined.ready


def leaf_for(usage: x509.ObjectIdentifier) -> tuple[str, str]:
    """A leaf with another extended key usage."""
    key = certs.load_key(certs.new_key("ec", 256))
    authority = certs.load_certificate(OLD.root)
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(OLD.identity("api"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(77)
        .not_valid_before(OLD.now - timedelta(minutes=1))
        .not_valid_after(OLD.now + timedelta(hours=1))
        .add_extension(names, critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .sign(certs.load_key(OLD.key), hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return made.public_bytes(Encoding.PEM).decode(), private.decode()


@pytest.mark.parametrize("wrong_end", ["server", "client"])
def test_a_certificate_for_something_else_is_refused(wrong_end: str) -> None:
    usage = {"server": ExtendedKeyUsageOID.CLIENT_AUTH, "client": ExtendedKeyUsageOID.SERVER_AUTH}[wrong_end]
    wrong = leaf_for(usage)
    server = context(*(wrong if wrong_end == "server" else OLD.leaf("api")), server_side=True)
    client = context(*(wrong if wrong_end == "client" else OLD.leaf("web")))
    with pytest.raises(RemoteProtocolError, match=r"TLS handshake failed: .*purpose"):
        shake(client, server)


def test_one_that_is_not_valid_yet_is_refused() -> None:
    server = context(*OLD.leaf("api", ago=-timedelta(hours=2)), server_side=True)
    client, other = Tls(context(*OLD.leaf("web")), server_side=False), Tls(server, server_side=True)
    client.start()
    other.feed(client.outgoing())
    with pytest.raises(RemoteProtocolError, match="certificate is not yet valid"):
        client.feed(other.outgoing())


@pytest.mark.parametrize(
    ("chain", "key", "roots", "why"),
    [
        ("zork", None, ROOTS, "it is empty"),
        (None, "zork", ROOTS, "key"),
        (None, TrustDomain().leaf("web")[1], ROOTS, "key"),
        (None, None, ("zork",), "a root is no certificate"),
    ],
)
def test_what_cannot_be_used_is_said(chain: str | None, key: str | None, roots: tuple[str, ...], why: str) -> None:
    good_chain, good_key = OLD.leaf("web")
    with pytest.raises(Unavailable, match=f"cannot be used: .*{why}"):
        context(good_chain if chain is None else chain, good_key if key is None else key, roots)


@given(st.lists(st.binary(min_size=1, max_size=255)))
def test_offered_protocols_are_read(names: list[bytes]) -> None:
    assert _listed(b"".join(bytes([len(name)]) + name for name in names)) == names
