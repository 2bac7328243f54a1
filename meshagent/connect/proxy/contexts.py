"""I/O edge: TLS contexts from a snapshot's leaf and roots.

The standard library reads keys from files only: they are given to it as anonymous files in memory, which have no name
on any disk.

Source: "TLS of the built-in proxy's public listener" of the golden mesh data (versions, suites, client certificates).
What may change here: parameters of the `mesh` entry (M29).
"""

from __future__ import annotations

import os
import ssl

from meshagent.connect.snapshot import ProxySnapshot
from meshagent.errors import Unavailable

__all__ = ["Contexts"]

_TLS12_SUITES = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305"


class Contexts:
    """The server's and the client's side of one leaf. New ones end all sessions of the old."""

    def __init__(self, snapshot: ProxySnapshot) -> None:
        """Raises Unavailable when the snapshot has no leaf or roots yet, or they cannot be used."""
        if not snapshot.leaf_chain or not snapshot.roots:
            raise Unavailable("there is no leaf certificate yet")
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.client.check_hostname = False  # the SPIFFE id is compared instead
        roots = "".join(snapshot.roots)
        for context in (self.server, self.client):
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers(_TLS12_SUITES)
            context.verify_mode = ssl.CERT_REQUIRED
            try:
                context.load_verify_locations(cadata=roots)
                _load(context, snapshot.leaf_chain + snapshot.leaf_key)
            except (ssl.SSLError, ValueError) as error:
                raise Unavailable(f"the leaf certificate cannot be used: {error}") from error
        self.server.num_tickets = 2

    @staticmethod
    def key(snapshot: ProxySnapshot) -> tuple[str, tuple[str, ...]]:
        """What contexts are made of: another key needs others."""
        return snapshot.leaf_chain, snapshot.roots


def _load(context: ssl.SSLContext, pem: str) -> None:
    handle = os.memfd_create("leaf", os.MFD_CLOEXEC)
    try:
        os.write(handle, pem.encode("ascii"))
        context.load_cert_chain(f"/proc/self/fd/{handle}")
    finally:
        os.close(handle)
