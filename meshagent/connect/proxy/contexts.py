"""TLS contexts from a snapshot's leaf and roots.

Source: "TLS of the built-in proxy's public listener" of the golden mesh data (client certificates). What may change
here: parameters of the `mesh` entry (M29).
"""

from __future__ import annotations

from meshagent.connect.proxy.layers.openssl import TlsContext
from meshagent.connect.snapshot import ProxySnapshot
from meshagent.errors import Unavailable

__all__ = ["Contexts"]

#: What a listener of these protocols speaks inside TLS, in order of preference; others negotiate nothing.
_ALPN = {"http": ("http/1.1",), "http2": ("h2", "http/1.1"), "grpc": ("h2", "http/1.1")}


class Contexts:
    """The server's and the client's side of one leaf. New ones end all sessions of the old."""

    def __init__(self, snapshot: ProxySnapshot) -> None:
        """Raises Unavailable when the snapshot has no leaf or roots yet, or they cannot be used."""
        if not snapshot.leaf_chain or not snapshot.roots:
            raise Unavailable("there is no leaf certificate yet")
        chain, key, roots = snapshot.leaf_chain, snapshot.leaf_key, snapshot.roots
        alpn = _ALPN.get(snapshot.inbound.protocol, ()) if snapshot.inbound is not None else ()
        self.server = TlsContext(server_side=True, chain=chain, key=key, roots=roots, alpn=alpn)
        #: What its connections offer is told for each: the protocol of an upstream is the upstream's.
        self.client = TlsContext(server_side=False, chain=chain, key=key, roots=roots)

    @staticmethod
    def key(snapshot: ProxySnapshot) -> tuple[str, tuple[str, ...], str]:
        """What contexts are made of: another key needs others."""
        protocol = snapshot.inbound.protocol if snapshot.inbound is not None else ""
        return snapshot.leaf_chain, snapshot.roots, protocol
