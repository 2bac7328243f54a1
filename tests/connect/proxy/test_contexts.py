"""Contexts from a snapshot."""

from __future__ import annotations

import msgspec
import pytest
from meshtest.meshcerts import TrustDomain

from meshagent.connect.mesh_settings import MeshSettings, TlsBounds
from meshagent.connect.peers import Trust, peer_sni
from meshagent.connect.proxy.contexts import Contexts
from meshagent.connect.proxy.layers.openssl import TlsContext
from meshagent.connect.proxy.layers.tls import Session, Tls
from meshagent.connect.snapshot import Inbound
from meshagent.errors import RemoteProtocolError, Unavailable

TD = TrustDomain()


class TestPeers:
    """Each trust domain is vouched for by its own roots and by nothing else (M68)."""

    EAST = TrustDomain("east.consul")
    TRUST = Trust("east", "east.consul", (EAST.root.decode(),), True)

    def server(self, *trusts: Trust) -> Contexts:
        return Contexts(TD.snapshot("api", trusts=trusts))

    def call(self, contexts: Contexts, chain: str, key: str, name: str, session: Session | None = None) -> Tls:
        """The server's end of a connection by who has that leaf, and trusts us. Raises RemoteProtocolError."""
        roots = (TD.root.decode(),)
        context = TlsContext(server_side=False, chain=chain, key=key, roots=roots)
        client = Tls(context, server_side=False, server_name=name, session=session)
        server = Tls(contexts.server, server_side=True)
        client.start()
        server.start()
        for _ in range(4):
            server.feed(client.outgoing())
            client.feed(server.outgoing())
        assert server.ready
        self.client = client
        return server

    def test_a_caller_says_where_it_is_from_and_is_verified_by_those_roots(self) -> None:
        server = self.call(self.server(self.TRUST), *self.EAST.leaf("web"), peer_sni("api", "east.consul"))
        assert server.identity == self.EAST.identity("web")

    def test_our_own_are_verified_as_ever(self) -> None:
        for name in ("api.default", peer_sni("api", TD.name)):
            assert self.call(self.server(self.TRUST), *TD.leaf("web"), name).identity == TD.identity("web")

    @pytest.mark.parametrize("name", ["api.default", peer_sni("api", "west.consul"), peer_sni("api", TD.name)])
    def test_a_peer_that_calls_as_somebody_else_does_not_get_in(self, name: str) -> None:
        with pytest.raises(RemoteProtocolError):
            self.call(self.server(self.TRUST), *self.EAST.leaf("web"), name)

    def test_we_do_not_get_in_as_a_peer(self) -> None:
        with pytest.raises(RemoteProtocolError):
            self.call(self.server(self.TRUST), *TD.leaf("web"), peer_sni("api", "east.consul"))

    @pytest.mark.parametrize("claimed", [TD.identity("web"), "spiffe://west.consul/ns/default/dc/dc1/svc/web"])
    def test_a_peers_authority_cannot_speak_for_another_trust_domain(self, claimed: str) -> None:
        leaf = self.EAST.leaf("web", uri=claimed)
        assert self.call(self.server(self.TRUST), *leaf, peer_sni("api", "east.consul")).identity == ""

    def test_our_authority_cannot_speak_for_a_peer(self) -> None:
        leaf = TD.leaf("web", uri=self.EAST.identity("web"))
        assert self.call(self.server(self.TRUST), *leaf, "api.default").identity == ""

    def test_a_session_of_one_place_is_not_resumed_in_another(self) -> None:
        contexts = self.server(self.TRUST)
        leaf = self.EAST.leaf("web", uri=TD.identity("web"))
        first = self.call(contexts, *leaf, peer_sni("api", "east.consul"))
        first.write(b"x")
        self.client.feed(first.outgoing())
        session = self.client.session
        with pytest.raises(RemoteProtocolError):  # in full, by our own roots
            self.call(contexts, *leaf, "api.default", session)
        good = self.EAST.leaf("web")
        again = self.call(contexts, *good, peer_sni("api", "east.consul"), session)
        assert not again.resumed

    def test_whom_nothing_is_exported_to_does_not_get_in(self) -> None:
        outside = Trust("east", "east.consul", self.TRUST.roots, False)
        for trusts in ((), (outside,)):
            with pytest.raises(RemoteProtocolError):
                self.call(self.server(*trusts), *self.EAST.leaf("web"), peer_sni("api", "east.consul"))

    def test_a_peer_that_claims_our_trust_domain_is_nobody(self) -> None:
        claims = Trust("east", TD.name, self.TRUST.roots, True)
        leaf = self.EAST.leaf("web", uri=TD.identity("web"))
        with pytest.raises(RemoteProtocolError):
            self.call(self.server(claims), *leaf, peer_sni("api", TD.name))

    def test_instances_of_a_peer_are_verified_by_its_roots(self) -> None:
        web = Contexts(TD.snapshot("web", trusts=(self.TRUST,)))
        trust = Trust("td", TD.name, (TD.root.decode(),), True)
        theirs = Contexts(self.EAST.snapshot("api", trusts=(trust,)))
        for peer, good in (("east", True), ("", False), ("west", False)):
            client = Tls(web.client_of(peer), server_side=False, server_name=peer_sni("api", TD.name))
            server = Tls(theirs.server, server_side=True)
            client.start()
            server.start()
            try:
                for _ in range(4):
                    server.feed(client.outgoing())
                    client.feed(server.outgoing())
            except RemoteProtocolError:
                assert not good
            else:
                assert good
                assert (client.identity, server.identity) == (self.EAST.identity("api"), TD.identity("web"))


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
