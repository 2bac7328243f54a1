"""A real Envoy with services of peers: who may come in, and whom it takes for one (surface rows X5, X12, M61).

Each side is rendered from a snapshot; the other side is the built-in sidecar, or a caller with a leaf.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from meshtest.envoystatic import static
from meshtest.meshcerts import TrustDomain
from meshtest.meshpeers import envoy
from meshtest.ownsidecars import Leaf, OwnSidecar, running, serving
from meshtest.sidecars import Echo, free_port

from meshagent.connect.envoy.render import render
from meshagent.connect.peers import Trust, peer_chain, peer_sni
from meshagent.connect.snapshot import Cluster, Endpoint, Outbound, ProxySnapshot

OURS = TrustDomain()
EAST = TrustDomain("22222222-2222-3333-4444-555555555555.consul")
WEST = TrustDomain("33333333-2222-3333-4444-555555555555.consul")
PEERS = (
    Trust("east", EAST.name, (EAST.root.decode(),), incoming=True),
    Trust("west", WEST.name, (WEST.root.decode(),)),
)


@pytest.fixture(autouse=True)
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESHAGENT_PROXY_DIR", str(tmp_path / "p"))


@pytest.fixture
def app() -> Iterator[Echo]:
    made = Echo()
    yield made
    made.close()


def pairs(snapshot: ProxySnapshot) -> list[tuple[dict[str, object], dict[str, object]]]:
    """Every listener with every cluster."""
    made = static(render(snapshot))["static_resources"]
    return [(made["listeners"][0], one) for one in made["clusters"]]


async def test_each_authority_speaks_for_its_own_trust_domain(tmp_path: Path, app: Echo) -> None:
    snapshot = msgspec.structs.replace(serving(OURS, "tcp", app.port), trusts=PEERS)
    caller = OwnSidecar(OURS, tmp_path, snapshot)
    leafs: dict[str, tuple[Leaf, bytes]] = {
        "our own": (OURS.leaf("web"), b"hello"),
        "one of a peer that may call": (EAST.leaf("web"), b"hello"),
        "a peer's authority for us": (EAST.leaf("web", uri=OURS.identity("web")), b""),
        "our authority for a peer": (OURS.leaf("web", uri=EAST.identity("web")), b""),
        "one of a peer that may not call": (WEST.leaf("web"), b""),
        "a stranger": (TrustDomain("44444444-2222-3333-4444-555555555555.consul").leaf("web"), b""),
    }
    [(listener, cluster)] = pairs(snapshot)
    with envoy(tmp_path, "api", (listener, cluster), port=caller.port):
        assert {who: await caller.ask(leaf) for who, (leaf, _) in leafs.items()} == {
            who: wanted for who, (_, wanted) in leafs.items()
        }


def calling(instance: int, identity: str, trusts: tuple[Trust, ...]) -> tuple[ProxySnapshot, int]:
    """(web with its upstream api at the peer east, where that listens)."""
    chain = peer_chain("api", "east", "dc1", "tcp", OURS.name, "5s")
    (target,) = chain.targets.values()
    target = msgspec.structs.replace(target, sni=peer_sni("api", OURS.name))
    outbound = Outbound("api", "127.0.0.1", free_port(), chain=chain, peer="east")
    cluster = Cluster(target, (identity,), (Endpoint("api-1", "n", "127.0.0.1", instance),))
    fields = {"outbound": (outbound,), "clusters": {target.id: cluster}, "trusts": trusts}
    return OURS.snapshot("web", **fields), outbound.port


async def test_a_built_in_sidecar_of_a_peer_is_called(tmp_path: Path, app: Echo) -> None:
    theirs = (Trust("ours", OURS.name, (OURS.root.decode(),), incoming=True),)
    snapshot = msgspec.structs.replace(serving(EAST, "tcp", app.port), trusts=theirs)
    async with running(EAST, tmp_path, snapshot) as api:
        for name, identity, trusts, wanted in (
            ("known", EAST.identity("api"), PEERS, b"hello"),
            ("another", EAST.identity("other"), PEERS, b""),
            ("unknown", EAST.identity("api"), (), b""),
        ):
            web, port = calling(api.port, identity, trusts)
            with envoy(tmp_path, name, *pairs(web), port=port):
                assert (name, await plain(port)) == (name, wanted)


async def plain(port: int) -> bytes:
    """What comes back for some bytes without TLS."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"hello")
        return await asyncio.wait_for(reader.read(5), 30.0)
    except OSError:
        return b""
    finally:
        writer.transport.abort()
