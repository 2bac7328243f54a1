"""I/O edge: sidecars in the test's own process, with a trust domain of its own: no agent, no further process.

Used by tests/e2e where leafs are wanted that no agent would sign, or counts that only the process knows. What may
change here: further shapes of snapshots.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from meshagent.catalog.entries.graph import Lookup
from meshagent.catalog.entries.table import parse
from meshagent.catalog.model import Upstream
from meshagent.clock import SystemClock
from meshagent.connect.chain import compile_chain
from meshagent.connect.proxy.server import Sidecar
from meshagent.connect.snapshot import Cluster, Endpoint, Inbound, ProxySnapshot, outbound_of
from meshtest.meshcerts import TrustDomain
from meshtest.sidecars import free_port

__all__ = ["PATIENCE_S", "Leaf", "OwnSidecar", "calling", "running", "serving"]

#: (chain, key), PEM.
Leaf = tuple[str, str]
PATIENCE_S = 30.0


class OwnSidecar:
    """A sidecar, and callers of its public listener."""

    def __init__(self, domain: TrustDomain, folder: Path, snapshot: ProxySnapshot) -> None:
        self.domain = domain
        self.folder = folder
        self.snapshot = snapshot
        self.sidecar = Sidecar(SystemClock(), random.Random(1))
        self.port = snapshot.inbound.port if snapshot.inbound is not None else 0

    def context(self, leaf: Leaf | None, *alpn: str) -> ssl.SSLContext:
        """TLS of a caller with this leaf, who believes everybody."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if alpn:
            context.set_alpn_protocols(list(alpn))
        if leaf is not None:
            path = self.folder / "leaf.pem"
            path.write_text("".join(leaf))
            path.chmod(0o600)
            context.load_cert_chain(path)
        return context

    async def connect(self, leaf: Leaf | None, *alpn: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Mutual TLS with the public listener. Raises OSError."""
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=self.context(leaf, *alpn))

    async def ask(self, leaf: Leaf | None, data: bytes = b"hello") -> bytes:
        """What comes back for some bytes; b"" when nobody is there for him."""
        with contextlib.suppress(OSError, ssl.SSLError):
            reader, writer = await self.connect(leaf)
            try:
                writer.write(data)
                return await asyncio.wait_for(reader.read(len(data)), PATIENCE_S)
            finally:
                writer.transport.abort()
        return b""


@contextlib.asynccontextmanager
async def running(domain: TrustDomain, folder: Path, snapshot: ProxySnapshot) -> AsyncIterator[OwnSidecar]:
    """A sidecar that works from this snapshot until the block ends."""
    made = OwnSidecar(domain, folder, snapshot)
    await made.sidecar.apply(snapshot)
    try:
        yield made
    finally:
        await made.sidecar.stop(0.0)


def serving(domain: TrustDomain, protocol: str, application: int, **fields: Any) -> ProxySnapshot:
    """Of api, with an application at this port; `fields` of its inbound side."""
    inbound = Inbound("127.0.0.1", free_port(), "127.0.0.1", application, protocol=protocol, **fields)
    return domain.snapshot("api", inbound=inbound)


def calling(domain: TrustDomain, protocol: str, listener: int, instance: int, **config: Any) -> ProxySnapshot:
    """Of web, whose upstream api (with this configuration) has one instance at a port."""
    defaults = parse({"Kind": "service-defaults", "Name": "api", "Protocol": protocol})
    entries = {(defaults.kind, defaults.name): defaults}
    lookup = Lookup(lambda kind, name: entries.get((kind, name)), lambda _: [])
    chain = compile_chain(lookup, "api", "dc1", domain.name)
    upstream = outbound_of(Upstream(destination_name="api", local_bind_port=listener, config=config), chain)
    rows = {
        key: Cluster(target, (domain.identity("api"),), (Endpoint("api-1", "n", "127.0.0.1", instance),))
        for key, target in chain.targets.items()
    }
    return domain.snapshot("web", outbound=(upstream,), clusters=rows)
