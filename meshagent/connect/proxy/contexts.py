"""TLS contexts from a snapshot's leaf and roots.

Source: "TLS of the built-in proxy's public listener" of the golden mesh data (client certificates); surface row M29
(versions and suites of the `mesh` entry). What may change here: what further entries say of TLS.
"""

from __future__ import annotations

from meshagent.connect.mesh_settings import TlsBounds
from meshagent.connect.peers import Trust
from meshagent.connect.proxy.layers.openssl import TlsContext
from meshagent.connect.snapshot import ProxySnapshot
from meshagent.errors import Unavailable

__all__ = ["ALPN", "Contexts", "ContextsKey"]

ContextsKey = tuple[str, tuple[str, ...], str, TlsBounds, TlsBounds, tuple[Trust, ...]]

#: What a listener of these protocols speaks inside TLS, in order of preference; others negotiate nothing.
ALPN = {"http": ("http/1.1",), "http2": ("h2", "http/1.1"), "grpc": ("h2", "http/1.1")}


class Contexts:
    """The server's and the client's side of one leaf. New ones end all sessions of the old."""

    def __init__(self, snapshot: ProxySnapshot) -> None:
        """Raises Unavailable when the snapshot has no leaf or roots yet, or they cannot be used."""
        if not snapshot.leaf_chain or not snapshot.roots:
            raise Unavailable("there is no leaf certificate yet")
        chain, key, roots = snapshot.leaf_chain, snapshot.leaf_key, snapshot.roots
        alpn = ALPN.get(snapshot.inbound.protocol, ()) if snapshot.inbound is not None else ()
        incoming, outgoing = snapshot.mesh.incoming, snapshot.mesh.outgoing
        callers = {
            trust.trust_domain: TlsContext(
                server_side=True, chain=chain, key=key, roots=trust.roots, alpn=alpn, bounds=incoming
            )
            for trust in snapshot.trusts
            if trust.incoming and trust.trust_domain != snapshot.trust_domain
        }
        self.server = TlsContext(
            server_side=True, chain=chain, key=key, roots=roots, alpn=alpn, bounds=incoming,
            trust_domain=snapshot.trust_domain, callers=callers,
        )  # fmt: skip
        #: What its connections offer is told for each: the protocol of an upstream is the upstream's.
        self.client = TlsContext(server_side=False, chain=chain, key=key, roots=roots, bounds=outgoing)
        self._of_peers = {
            trust.peer: TlsContext(server_side=False, chain=chain, key=key, roots=trust.roots, bounds=outgoing)
            for trust in snapshot.trusts
        }

    def client_of(self, peer: str) -> TlsContext:
        """For connections to instances of a peer, "" for those of this cluster: each is verified by its own roots.

        A peer that is not trusted (yet) gets a context that verifies nobody of it.
        """
        return self._of_peers.get(peer, self.client) if peer else self.client

    @staticmethod
    def key(snapshot: ProxySnapshot) -> ContextsKey:
        """What contexts are made of: another key needs others."""
        protocol = snapshot.inbound.protocol if snapshot.inbound is not None else ""
        mesh = snapshot.mesh
        return snapshot.leaf_chain, snapshot.roots, protocol, mesh.incoming, mesh.outgoing, snapshot.trusts
