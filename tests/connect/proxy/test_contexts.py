"""Contexts from a snapshot."""

from __future__ import annotations

import msgspec
import pytest
from meshtest.meshcerts import TrustDomain

from meshagent.connect.mesh_settings import MeshSettings, TlsBounds
from meshagent.connect.proxy.contexts import Contexts
from meshagent.connect.proxy.layers.tls import Tls
from meshagent.connect.snapshot import Inbound
from meshagent.errors import RemoteProtocolError, Unavailable

TD = TrustDomain()


@pytest.mark.parametrize(
    ("protocol", "offered", "agreed"),
    [
        ("tcp", ("h2", "http/1.1"), ""),
        ("http", ("h2", "http/1.1"), "http/1.1"),
        ("http2", ("h2", "http/1.1"), "h2"),
        ("grpc", ("http/1.1", "h2"), "h2"),
        ("grpc", ("zork",), ""),
        ("http2", (), ""),
    ],
)
def test_the_protocol_of_a_service_is_negotiated(protocol: str, offered: tuple[str, ...], agreed: str) -> None:
    inbound = Inbound("127.0.0.1", 1, "127.0.0.1", 2, protocol=protocol)
    server = Tls(Contexts(TD.snapshot("api", inbound=inbound)).server, server_side=True)
    client = Tls(Contexts(TD.snapshot("web")).client, server_side=False, alpn=offered)
    client.start()
    for _ in range(2):
        server.feed(client.outgoing())
        client.feed(server.outgoing())
    assert (client.ready, server.ready) == (True, True)
    assert (client.alpn, server.alpn) == (agreed, agreed)


def test_only_leaf_and_roots_need_others() -> None:
    snapshot = TD.snapshot("web")
    assert Contexts.key(snapshot) == Contexts.key(msgspec.structs.replace(snapshot, default_allow=False))
    assert Contexts.key(snapshot) != Contexts.key(msgspec.structs.replace(snapshot, roots=("x",)))


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"leaf_chain": ""}, "there is no leaf certificate yet"),
        ({"roots": ()}, "there is no leaf certificate yet"),
        ({"leaf_key": TrustDomain().leaf("web")[1]}, "cannot be used"),
        ({"roots": ("zork",)}, "cannot be used"),
    ],
)
def test_what_cannot_be_used_is_said(fields: dict[str, object], why: str) -> None:
    with pytest.raises(Unavailable, match=why):
        Contexts(TD.snapshot("web", **fields))


def shaken(incoming: TlsBounds, outgoing: TlsBounds) -> Tls:
    """The client's end of a handshake between two proxies. Raises RemoteProtocolError."""
    server = Tls(Contexts(TD.snapshot("api", mesh=MeshSettings(incoming=incoming))).server, server_side=True)
    client = Tls(Contexts(TD.snapshot("web", mesh=MeshSettings(outgoing=outgoing))).client, server_side=False)
    client.start()
    for _ in range(3):
        server.feed(client.outgoing())
        client.feed(server.outgoing())
    return client


GCM, CHACHA = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"


@pytest.mark.parametrize(
    ("incoming", "outgoing", "version"),
    [
        (TlsBounds(), TlsBounds(), "TLSv1.3"),
        (TlsBounds("TLSv1_0", "TLSv1_2"), TlsBounds(), "TLSv1.2"),
        (TlsBounds("TLS_AUTO"), TlsBounds("", "TLSv1_2"), "TLSv1.2"),
        (TlsBounds("", "TLSv1_2", (CHACHA, GCM)), TlsBounds("", "", (GCM,)), "TLSv1.2"),
        (TlsBounds("", "", ("TLS_RSA_WITH_AES_128_CBC_SHA",)), TlsBounds(), "TLSv1.3"),
    ],
)
def test_the_mesh_bounds_versions_and_suites(incoming: TlsBounds, outgoing: TlsBounds, version: str) -> None:
    client = shaken(incoming, outgoing)
    assert (client.ready, client.version) == (True, version)
    if GCM in outgoing.cipher_suites:
        assert client.cipher == "ECDHE-ECDSA-AES128-GCM-SHA256"


@pytest.mark.parametrize(
    ("incoming", "outgoing"),
    [
        (TlsBounds("TLSv1_3"), TlsBounds("", "TLSv1_2")),
        (TlsBounds("", "TLSv1_2", (GCM,)), TlsBounds("", "TLSv1_2", (CHACHA,))),
        (TlsBounds("", "TLSv1_2"), TlsBounds("", "", ("TLS_RSA_WITH_AES_128_CBC_SHA",))),
    ],
)
def test_who_is_outside_the_bounds_is_refused(incoming: TlsBounds, outgoing: TlsBounds) -> None:
    with pytest.raises(RemoteProtocolError):
        shaken(incoming, outgoing)


@pytest.mark.parametrize(
    ("bounds", "why"),
    [
        (TlsBounds("", "TLSv1_1"), "TLS up to TLSv1_1 cannot be spoken"),
        (TlsBounds("", "TLSv1_2", ("TLS_RSA_WITH_AES_128_CBC_SHA",)), "none of the cipher suites"),
    ],
)
def test_bounds_that_leave_nothing_are_said(bounds: TlsBounds, why: str) -> None:
    with pytest.raises(Unavailable, match=why):
        Contexts(TD.snapshot("api", mesh=MeshSettings(incoming=bounds)))
    assert Contexts.key(TD.snapshot("api", mesh=MeshSettings(incoming=bounds)))[3] == bounds
