"""TLS of a gateway's listener: certificates by server name, files, bounds."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from meshtest.certificates import make_ca, make_leaf
from meshtest.meshcerts import TrustDomain

from meshagent.connect.gateways.edge import Certificate, EdgeListener, EdgeTLS
from meshagent.connect.proxy.edge_contexts import EdgeContexts, ServerNames
from meshagent.connect.proxy.layers.openssl import TlsContext
from meshagent.connect.proxy.layers.tls import Tls

TD = TrustDomain()
EDGE = TD.snapshot("edge")
CA = make_ca()


def certificate(*names: str) -> Certificate:
    chain, key = (one.decode() for one in make_leaf(CA, *names))
    return Certificate(names[0], chain, key)


def contexts(*certificates: Certificate, protocol: str = "http", **fields: object) -> EdgeContexts:
    made = EdgeContexts()
    listener = EdgeListener("secure", 1, protocol, EdgeTLS(certificates, **fields))  # type: ignore[arg-type]
    assert made.follow(listener, EDGE) == ""
    return made


def shown_to(context: TlsContext | None, name: str, client: ssl.SSLContext | None = None) -> tuple[bytes, str | None]:
    """(the certificate that a client sees who asks for a name, the protocol both agreed on)."""
    assert context is not None
    if client is None:
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
        client.set_alpn_protocols(["h2", "http/1.1"])
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    there = client.wrap_bio(incoming, outgoing, server_hostname=name or None)
    here = Tls(context, server_side=True)
    here.start()
    for _ in range(4):
        try:
            there.do_handshake()
            break
        except ssl.SSLWantReadError:
            here.feed(outgoing.read())
            incoming.write(here.outgoing())
    return there.getpeercert(binary_form=True) or b"", there.selected_alpn_protocol()


def der(pem: str) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pem[: pem.index("-----END CERTIFICATE-----") + 26])


def test_one_certificate_is_for_everybody() -> None:
    only = certificate("a.example.com")
    made = contexts(only)
    assert shown_to(made.context, "other.example.com") == (der(only.chain), "http/1.1")


def test_of_several_each_is_for_its_names_and_the_leaf_for_others() -> None:
    first, second = certificate("a.example.com"), certificate("*.b.example.com", "a.example.com")
    made = contexts(first, second, protocol="http2")
    assert shown_to(made.context, "A.example.com") == (der(first.chain), "h2")
    assert shown_to(made.context, "x.b.example.com") == (der(second.chain), "h2")
    for other in ("x.y.b.example.com", "b.example.com", ""):
        assert shown_to(made.context, other)[0] == der(EDGE.leaf_chain)


def test_without_a_certificate_the_leaf_is_shown() -> None:
    assert shown_to(contexts().context, "any")[0] == der(EDGE.leaf_chain)


def test_versions_are_kept() -> None:
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    assert shown_to(contexts().context, "any", client)[0]
    with pytest.raises(Exception, match=r"version|protocol"):
        shown_to(contexts(min_version="TLSv1_3").context, "any", client)


def test_files_are_read_again_and_the_last_good_ones_stay(tmp_path: Path) -> None:
    first, second = certificate("a.example.com"), certificate("a.example.com")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    listener = EdgeListener("secure", 1, "http", EdgeTLS((Certificate("f", str(chain), str(key), files=True),)))
    made = EdgeContexts()
    assert (
        made.follow(listener, EDGE)
        == f"listener secure: the certificate cannot be read: {chain}: No such file or directory"
    )
    assert made.context is None
    chain.write_text(first.chain)
    key.write_text(first.key)
    assert made.follow(listener, EDGE) == ""
    held = made.context
    assert made.follow(listener, EDGE) == ""
    assert made.context is held
    chain.write_text(second.chain)
    assert "key" in made.follow(listener, EDGE)
    assert made.context is held
    key.write_text(second.key)
    assert made.follow(listener, EDGE) == ""
    assert shown_to(made.context, "")[0] == der(second.chain)
    chain.write_text("x" * 70_000)
    assert "more than 65536 bytes" in made.follow(listener, EDGE)


def test_a_wildcard_is_one_label() -> None:
    context = contexts().context
    assert context is not None
    names = ServerNames([(("*.a.b",), context)])
    assert [names.find(name) is context for name in ("x.a.b", "X.A.B.", "y.x.a.b", "a.b", "")] == [
        True, True, False, False, False,
    ]  # fmt: skip
