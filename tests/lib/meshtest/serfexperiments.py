"""Experiments with serf's layer at size: how fast user events and queries reach everybody. Everything from one seed.

Used by tests/sim. Source of the yardstick: serf's convergence formula for fanout 3 and 200 ms (`gossipexperiments`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from meshagent.agent.gossip.serf_signals import QueryEnded, UserEventCame
from meshtest.gossipexperiments import converged_s, share
from meshtest.gossipsim import addr_of
from meshtest.serfnet import Net, Peer

__all__ = ["Events", "Queries", "events", "filled", "queries"]


def filled(size: int, *, seed: int, loss: float = 0.0) -> Net:
    """A pool in which all know all, and nothing is left to be told."""
    net = Net(seed, loss=loss)
    peers = [
        net.peer(f"node-{number}", address=(".".join(map(str, addr_of(number))), 7946), tags={"role": "node"})
        for number in range(size)
    ]
    known = {peer.name: peer.serf.pool.local for peer in peers}
    names = list(known)
    for peer in peers:
        core = peer.serf.pool._core  # type: ignore[attr-defined]
        core.broadcasts.drop(peer.name)
        core.table.nodes = known.copy()
        core.table.up_count = len(known)
        core.table._ring = names.copy()
        core.rng.shuffle(core.table._ring)
        for name, node in known.items():
            if name != peer.name:
                peer.serf.notify_join(node, net.now)
        peer.serf.take_commands()
        peer.said.clear()
        peer.serf.outbox.prune(0)
        peer.do(lambda serf, now: None)
    net.advance(1.0)
    return net


@dataclass(frozen=True, slots=True)
class Events:
    """Seconds until so many have an event; how many did not get it; the widest gap between event clocks afterwards."""

    events: int
    half_s: float
    most_s: float
    all_s: float
    missed: int
    clock_gap: int
    formula_s: float


def events(size: int, *, seed: int, count: int, loss: float = 0.0) -> Events:
    """Fire `count` events, one a second, each by another member."""
    net = filled(size, seed=seed, loss=loss)
    peers = list(net.peers.values())
    halves, mosts, alls = [], [], []
    missed = 0
    for number in range(count):
        came: dict[str, float] = {}
        for peer in peers:
            peer.said.clear()
            peer.hook = partial(_note, net, peer, came)
        began = net.now
        net.rng.choice(peers).do(lambda serf, now, it=number: serf.user_event(f"event-{it}", b"x" * 64, now))
        net.advance(5.0)
        times = sorted(at - began for at in came.values())
        missed += size - len(times)
        halves.append(share(times, 0.5))
        mosts.append(share(times, 0.99))
        alls.append(times[-1])
    clocks = [peer.serf.events.clock.time for peer in peers]
    mean = lambda values: sum(values) / len(values)  # noqa: E731
    gap = max(clocks) - min(clocks)
    return Events(count, mean(halves), mean(mosts), mean(alls), missed, gap, converged_s(size, 0.99, loss=loss))


def _note(net: Net, peer: Peer, came: dict[str, float], command: object) -> None:
    if isinstance(command, UserEventCame):
        came.setdefault(peer.name, net.now)


@dataclass(frozen=True, slots=True)
class Queries:
    """Shares of members that acked in time, on average, and seconds until the last of them had."""

    queries: int
    acked: float
    timeout_s: float


def queries(size: int, *, seed: int, count: int, timeout_s: float, loss: float = 0.0) -> Queries:
    """Ask `count` queries for acks, each by another member."""
    net = filled(size, seed=seed, loss=loss)
    peers = list(net.peers.values())
    acked = []
    for _ in range(count):
        peer = net.rng.choice(peers)
        peer.said.clear()
        peer.do(lambda serf, now: serf.queries.ask("load", b"", now, ack=True, timeout_s=timeout_s))
        net.advance(timeout_s + 1.0)
        [ended] = peer.of(QueryEnded)
        acked.append(len(ended.result.acks) / size)
    return Queries(count, sum(acked) / count, timeout_s)
