"""A certificate authority over a log in memory, and handshakes with what it signed.

Used by tests/connect/test_vault.py and tests/interop/test_openbao.py. What may change here: further ways to be signed.
"""

from __future__ import annotations

import random
from typing import Any

from cryptography import x509

from meshagent.catalog.commands import Command, encode
from meshagent.catalog.log import MemoryLog
from meshagent.catalog.store import Store
from meshagent.clock import SystemClock
from meshagent.connect import certs, spiffe
from meshagent.connect.authority import Authority, AuthoritySettings
from meshagent.connect.proxy.layers.openssl import TlsContext
from meshagent.connect.proxy.layers.tls import Tls

__all__ = ["Server", "names_of", "shake"]


class Server:
    """One authority over a log in memory, with the clock of certificates."""

    def __init__(self, **settings: Any) -> None:
        self.store = Store()
        self.log = MemoryLog(self.store)
        given = AuthoritySettings(apart=False, **settings)
        self.authority = Authority(self.store, self.write, SystemClock(), random.Random(1), "dc1", given)

    async def write(self, command: Command) -> Any:
        return await self.log.propose(encode(command))

    def request(self, name: str = "web") -> tuple[bytes, bytes]:
        uri = spiffe.format(spiffe.service_id(self.store.ca.trust_domain, "dc1", name))
        key = certs.new_key("ec", 256)
        return certs.request(key, uri), key

    async def context(self, name: str, *, server_side: bool, roots: tuple[str, ...] = ()) -> TlsContext:
        """A leaf of now, with these roots, or those of now."""
        request, key = self.request(name)
        leaf = await self.authority.sign(request)
        trusted = roots or tuple(root.root_cert for root in self.store.ca.roots.values())
        return TlsContext(server_side=server_side, chain=leaf.chain, key=key.decode(), roots=trusted)


def shake(client: TlsContext, server: TlsContext) -> str:
    """Who the client finds."""
    one, other = Tls(client, server_side=False), Tls(server, server_side=True)
    one.start()
    for _ in range(3):
        other.feed(one.outgoing())
        one.feed(other.outgoing())
    assert one.ready
    assert other.ready
    return one.identity


def names_of(chain: str) -> list[str]:
    """DNS names, then addresses, of the first certificate of a chain (PEM)."""
    certificate = x509.load_pem_x509_certificates(chain.encode())[0]
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]
