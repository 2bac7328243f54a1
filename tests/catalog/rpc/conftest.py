"""Certificates on disk, a clock of one's own, and agents that speak RPC over loopback."""

from __future__ import annotations

import asyncio
import datetime
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from meshtest import certificates

from meshagent.catalog.rpc.hello import Identity
from meshagent.catalog.rpc.link import Methods
from meshagent.catalog.rpc.peers import Peers
from meshagent.catalog.rpc.server import RpcServer
from meshagent.catalog.rpc.settings import RpcSettings, TlsSettings
from meshagent.catalog.rpc.tls import Security
from meshagent.clock import SystemClock


class Counts:
    """Metrics that can be asked."""

    def __init__(self) -> None:
        self.seen: dict[tuple[str, ...], float] = {}

    def incr(self, name: str, value: float = 1.0, labels: tuple[tuple[str, str], ...] = ()) -> None:
        key = (name, *(text for _, text in labels))
        self.seen[key] = self.seen.get(key, 0) + value

    def sample(self, name: str, value_ms: float) -> None:
        self.incr(name)

    def __getitem__(self, key: tuple[str, ...] | str) -> float:
        return self.seen.get((key,) if isinstance(key, str) else tuple(str(part) for part in key), 0)


class Pki:
    """Certificate files. `leaf("name")` gives settings that demand and show certificates."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authorities = {name: certificates.make_ca(name) for name in ("ours", "strange")}
        for name, authority in self.authorities.items():
            (folder / f"{name}.pem").write_bytes(authority.pem)
        self._made: dict[tuple[Any, ...], str] = {}

    def leaf(
        self, *names: str, authority: str = "ours", expired: bool = False, trust: str = "ours", **changes: Any
    ) -> TlsSettings:
        stem = self._files(names, authority, expired)
        wanted: dict[str, Any] = {
            "ca_file": str(self.folder / f"{trust}.pem"),
            "cert_file": f"{stem}.crt",
            "key_file": f"{stem}.key",
            "verify_incoming": True,
            "verify_outgoing": True,
            "verify_server_hostname": True,
        }
        return TlsSettings(**{**wanted, **changes})

    def _files(self, names: tuple[str, ...], authority: str, expired: bool) -> str:
        key = (names, authority, expired)
        if key not in self._made:
            stem = self._made[key] = str(self.folder / f"leaf{len(self._made)}")
            certificate, private = certificates.make_leaf(self.authorities[authority], *names)
            if expired:
                certificate = _past(certificate, self.authorities[authority])
            Path(f"{stem}.crt").write_bytes(certificate)
            Path(f"{stem}.key").write_bytes(private)
        return self._made[key]


def _past(pem: bytes, authority: certificates.Authority) -> bytes:
    """The same certificate, as it was last year."""
    good = x509.load_pem_x509_certificate(pem)
    year = datetime.timedelta(days=365)
    builder = (
        x509.CertificateBuilder()
        .subject_name(good.subject)
        .issuer_name(good.issuer)
        .public_key(good.public_key())
        .serial_number(good.serial_number)
        .not_valid_before(good.not_valid_before_utc - year)
        .not_valid_after(good.not_valid_after_utc - year)
    )
    for extension in good.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    return builder.sign(authority.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@dataclass
class Node:
    """One server agent: its listener, and its diallers to others."""

    name: str
    identity: Identity
    server: RpcServer
    peers: Peers
    address: str
    counts: Counts = field(default_factory=Counts)
    changes: asyncio.Queue[str] = field(default_factory=asyncio.Queue)

    async def connected(self, other: Node, timeout: float = 5) -> None:
        async with asyncio.timeout(timeout):
            while self.peers.link(other.identity.node_id) is None:
                await self.changes.get()

    async def disconnected(self, other: Node, timeout: float = 5) -> None:
        async with asyncio.timeout(timeout):
            while self.peers.link(other.identity.node_id) is not None:
                await self.changes.get()


class World:
    """Agents on loopback, each on a port of its own."""

    def __init__(self) -> None:
        self._made: list[Node] = []

    def spawn(
        self,
        name: str,
        *,
        security: Security | None = None,
        settings: RpcSettings | None = None,
        methods: Methods | None = None,
        port: int = 0,
        **who: Any,
    ) -> Node:
        """A server agent."""
        security = security or Security()
        settings = settings or RpcSettings(redial_longest_s=0.2)
        wanted = {"node_id": f"id-{name}", "node_name": name, "datacenter": "dc1", "cluster_id": "c1", **who}
        identity = Identity(**wanted)
        clock, counts = SystemClock(), Counts()
        server = RpcServer(
            identity, clock=clock, metrics=counts, methods=methods or {}, settings=settings, security=security
        )
        host, port = server.listen("127.0.0.1", port)
        peers = Peers(
            identity=lambda: identity,
            security=lambda: security,
            clock=clock,
            rng=random.Random(name),
            metrics=counts,
            settings=settings,
        )
        node = Node(name, identity, server, peers, f"{host}:{port}", counts)
        peers.on_change.append(node.changes.put_nowait)
        self._made.append(node)
        return node

    def introduce(self, *nodes: Node) -> None:
        """Each dials each."""
        servers = {node.identity.node_id: node.address for node in nodes}
        for node in nodes:
            node.peers.set_servers(servers)

    async def stop(self, *nodes: Node) -> None:
        for node in nodes or self._made:
            await node.peers.stop()
            await node.server.stop()


async def until(condition: Callable[[], Any], timeout: float = 5) -> None:
    """Let the loop run until `condition()` holds."""
    async with asyncio.timeout(timeout):
        while not condition():
            await asyncio.sleep(0.001)


Scenario = Callable[[World], Coroutine[Any, Any, None]]


@pytest.fixture(params=["asyncio", "uvloop"])
def play(request: pytest.FixtureRequest) -> Callable[[Scenario], None]:
    """Run a scenario on the loop of the daemon (uvloop) and on asyncio's own: what holds on both is not luck."""

    async def run(scenario: Scenario) -> None:
        world = World()
        try:
            async with asyncio.timeout(20):
                await scenario(world)
        finally:
            async with asyncio.timeout(5):
                await world.stop()

    def start(scenario: Scenario) -> None:
        factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(run(scenario))

    return start
