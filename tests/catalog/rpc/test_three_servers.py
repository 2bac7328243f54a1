"""The real engine on this port: three servers over TLS elect, take writes anywhere, go on when the leader is gone."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from meshagent.catalog.raft.journal import MemoryJournal
from meshagent.catalog.raft.replica import RaftLog
from meshagent.catalog.raft.settings import RaftSettings
from meshagent.catalog.rpc.forward import ForwardingLog
from meshagent.catalog.rpc.leading import leader_methods
from meshagent.catalog.rpc.raft_transport import RpcTransport
from meshagent.catalog.rpc.settings import RpcSettings
from meshagent.catalog.rpc.tls import load_security
from meshagent.clock import SystemClock

from .conftest import Node, Pki, Scenario, World

Play = Callable[[Scenario], None]


class Tally:
    """A state machine that remembers each command."""

    def __init__(self) -> None:
        self.commands: list[bytes] = []

    def apply(self, command: bytes) -> Any:
        self.commands.append(command)
        return len(self.commands)

    def flush(self) -> None:
        return

    def snapshot(self) -> Iterator[bytes]:
        yield from list(self.commands)

    def restore(self, chunks: Iterable[bytes]) -> None:
        self.commands = list(chunks)


@dataclass
class Server:
    node: Node
    machine: Tally
    raft: RaftLog
    log: ForwardingLog

    async def cut_off(self) -> None:
        """To the others it is dead; itself it may go on for as long as its log lets it."""
        await self.node.peers.stop()
        await self.node.server.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                await self.raft.stop()


async def cluster(world: World, pki: Pki) -> list[Server]:
    security = load_security(pki.leaf("server.dc1.consul"))
    settings = RpcSettings(redial_longest_s=0.2)
    nodes = [world.spawn(f"s{n}", security=security, settings=settings) for n in range(3)]
    servers = []
    for n, node in enumerate(nodes):
        machine, own = Tally(), node.identity.node_id
        raft = RaftLog(
            machine,
            node_id=own,
            address=node.address,
            journal=MemoryJournal(),
            clock=SystemClock(),
            rng=random.Random(n),
            settings=RaftSettings(multiplier=1, heartbeat_s=0.05, election_min_s=0.4, election_max_s=0.8),
            transport=RpcTransport(node.server, node.peers, node.counts),
            peers={other.identity.node_id: other.address for other in nodes if other is not node},
        )
        node.server.methods.update(leader_methods(raft))
        log = ForwardingLog(
            raft,
            node.peers,
            node_id=own,
            origin=random.Random(n).randbytes(8),
            clock=SystemClock(),
            metrics=node.counts,
            settings=settings,
        )
        servers.append(Server(node, machine, raft, log))
    for server in servers:
        await server.log.start()
    return servers


def test_writes_on_any_server_survive_the_end_of_the_leader_and_apply_once(play: Play, pki: Pki) -> None:
    async def scenario(world: World) -> None:
        servers = await cluster(world, pki)
        first = await asyncio.gather(*(servers[n % 3].log.propose(b"%d" % n) for n in range(300)))
        assert sorted(first) == list(range(1, 301))
        leader = next(server for server in servers if server.raft.is_leader)
        others = [server for server in servers if server is not leader]
        for server in others:
            await server.log.barrier()
            assert len(server.machine.commands) >= 300
            await server.log.propose(b"more")
            await server.log.read_barrier()
            assert server.machine.commands[-1] == b"more"
        writes = [others[n % 2].log.propose(b"late %d" % n) for n in range(100)]
        await asyncio.sleep(0)
        await leader.cut_off()
        writes += [others[n % 2].log.propose(b"later %d" % n) for n in range(100)]
        await asyncio.gather(*writes)
        for server in others:
            await server.log.barrier()
            assert sorted(server.machine.commands[302:]) == sorted(
                [b"late %d" % n for n in range(100)] + [b"later %d" % n for n in range(100)]
            )
        assert others[0].machine.commands == others[1].machine.commands
        for server in others:
            await server.cut_off()

    play(scenario)
