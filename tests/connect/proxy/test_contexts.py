"""Contexts from a snapshot."""

from __future__ import annotations

import msgspec
import pytest
from meshtest.meshcerts import TrustDomain

from meshagent.connect.proxy.contexts import Contexts
from meshagent.connect.proxy.layers.tls import Tls
from meshagent.connect.snapshot import Inbound
from meshagent.errors import Unavailable

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
