"""What is measured on simulated pools, and the formulas it is held against: one function, one experiment, one row.

Sources: convergence: serf's convergence simulator (www.serf.io/docs/internals/simulator.html): after x gossip rounds
1 / (1 + (n + 1) e^(-fanout (1 - loss) x)) of the nodes know. Detection: SWIM paper, section 3.1 (a node is first
probed after e / (e - 1) intervals on average; the chance that nobody has within t is e^-t), one interval for the
probe, and memberlist's least suspicion timeout, which k confirmations bring it to. Anomalies: Lifeguard paper,
section V (128 members, some blocked again and again).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import mean

from meshagent.agent.gossip import messages as m
from meshagent.agent.gossip.settings import LAN, GossipSettings
from meshagent.agent.gossip.timing import push_pull_interval_s, suspicion_timeout_s
from meshtest.gossipsim import _COORDINATE, PORT, GossipSim, no_collection

__all__ = [
    "Anomalies",
    "Detection",
    "Idle",
    "Spread",
    "anomalies",
    "change",
    "detection",
    "false_positives",
    "idle",
    "join",
]


def share(values: list[float], part: float) -> float:
    """The value that `part` of all are at or below."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


@dataclass(frozen=True, slots=True)
class Spread:
    """Seconds until 50 %, 99 % and all of the nodes knew, each the mean of `times` runs; `formula_s` is for 99 %."""

    nodes: int
    times: int
    half_s: float
    most_s: float
    all_s: float
    formula_s: float


def converged_s(nodes: int, part: float, settings: GossipSettings = LAN, loss: float = 0.0) -> float:
    """Serf's simulator, solved for the time at which `part` of the nodes know."""
    rounds = math.log((nodes + 1) * part / (1 - part)) / (settings.gossip_nodes * (1 - loss))
    return rounds * settings.gossip_interval_s


def _spread(sim: GossipSim, runs: list[tuple[float, list[float]]]) -> Spread:
    size = len(sim.nodes)
    for _, heard in runs:
        assert len(heard) >= size - len(runs), f"{len(heard)} of {size} heard"

    def at(part: float) -> float:
        return mean(share(heard, part) - start for start, heard in runs)

    return Spread(size, len(runs), at(0.5), at(0.99), at(1.0), converged_s(size, 0.99, loss=sim.loss))


def change(size: int, *, seed: int, times: int, loss: float = 0.0) -> Spread:
    """New metadata of one node after another."""
    with no_collection():
        sim = GossipSim(size, seed=seed, loss=loss)
        sim.run(2)
        runs = []
        for number in range(times):
            node = sim.nodes[number * 7 % size]
            node.delegate.meta = b"\xff\x81\xa7version" + bytes((0xA1, 65 + number % 26))
            start = sim.now
            sim.call(node, lambda machine, now: machine.update_meta(now))
            sim.run(3)
            runs.append((start, sim.times("update", node.name)))
    return _spread(sim, runs)


def join(size: int, *, seed: int, times: int) -> Spread:
    """A new node joins through one that is there."""
    with no_collection():
        sim = GossipSim(size, seed=seed)
        sim.run(2)
        runs = []
        for number in range(times):
            node = sim.add()
            start = sim.now
            sim.join(node, sim.nodes[number * 7 % size])
            sim.run(3)
            assert all(sim.nodes[index].machine.node(node.name) for index in range(size))
            runs.append((start, sim.times("join", node.name)))
    return _spread(sim, runs)


@dataclass(frozen=True, slots=True)
class Detection:
    """Seconds from a kill until the first node took it for dead, over `times` kills; until all did; false deaths."""

    nodes: int
    times: int
    mean_s: float
    p99_s: float
    all_p99_s: float
    formula_mean_s: float
    formula_p99_s: float
    false_deaths: int


def detected_s(nodes: int, unprobed: float, settings: GossipSettings = LAN) -> float:
    """First probe after `unprobed` intervals, one interval for it to fail, least suspicion."""
    low_s = suspicion_timeout_s(settings.suspicion_mult, nodes, settings.probe_interval_s)
    return (unprobed + 1) * settings.probe_interval_s + low_s


def detection(size: int, *, seed: int, times: int, loss: float = 0.0) -> Detection:
    """One kill in each of `times` pools."""
    first, last, false = [], [], 0
    with no_collection():
        for number in range(times):
            sim = GossipSim(size, seed=seed + number, loss=loss)
            sim.run(2 + number % 10 / 10)
            victim = sim.nodes[size // 2]
            start = sim.now
            sim.kill(victim)
            assert sim.run(180, until=lambda sim=sim: sim.counts["dead"] >= size - 1)  # type: ignore[misc]
            heard = sim.times("dead", victim.name)
            first.append(heard[0] - start)
            last.append(heard[-1] - start)
            false += sim.counts["dead"] - len(heard)
    return Detection(
        size,
        times,
        mean(first),
        share(first, 0.99),
        share(last, 0.99),
        detected_s(size, math.e / (math.e - 1)),
        detected_s(size, math.log(100)),
        false,
    )


def false_positives(
    size: int, *, seed: int, hours: float, loss: float, settings: GossipSettings = LAN
) -> dict[str, float]:
    """A pool in which nobody fails and packets are lost: suspicions and deaths, which are all wrong."""
    with no_collection():
        sim = GossipSim(size, seed=seed, loss=loss, settings=settings)
        sim.run(hours * 3600)
    known = {len(node.machine.up_nodes()) for node in sim.nodes}
    return {"suspicions": sim.suspects(), "deaths": sim.counts["dead"], "least known": min(known)}


@dataclass(frozen=True, slots=True)
class Anomalies:
    """Deaths that nodes heard of while all lived: of nodes that were well, those of them that nodes heard of which were
    well themselves, and deaths of the slow ones."""

    slow: int
    of_the_well: int
    at_the_well: int
    of_the_slow: int


#: SWIM without Lifeguard: no local health, one suspicion timeout.
PLAIN_SWIM = replace(LAN, awareness_max=1, suspicion_max_mult=1)


def anomalies(
    size: int, slow: int, *, seed: int, settings: GossipSettings, minutes: float, slow_s: float, well_s: float
) -> Anomalies:
    """`slow` nodes are slow for `slow_s`, well for `well_s`, and so on, all at once as in the paper."""
    with no_collection():
        sim = GossipSim(size, seed=seed, settings=settings)
        sim.run(5)
        while sim.now < minutes * 60:
            for node in sim.nodes[:slow]:
                sim.slow(node)
            sim.run(slow_s)
            for node in sim.nodes[:slow]:
                sim.resume(node)
            sim.run(well_s)
    ill = {node.name for node in sim.nodes[:slow]}
    deaths = [(index, name) for _, kind, index, name in sim.noted if kind == "dead"]
    well = [(index, name) for index, name in deaths if name not in ill]
    return Anomalies(slow, len(well), sum(index >= slow for index, _ in well), len(deaths) - len(well))


@dataclass(frozen=True, slots=True)
class Idle:
    """Bytes that one node sends in a second when nothing happens; `formula` is probes and push/pull."""

    nodes: int
    probes: float
    with_push_pull: float
    formula: float


def idle(size: int, *, seed: int, seconds: float = 60.0) -> Idle:
    with no_collection():
        sim = GossipSim(size, seed=seed, settings=replace(LAN, push_pull_interval_s=0))
        sim.run(2)
        before = sim.sent()
        sim.run(seconds)
        probes = (sim.sent() - before) / size / seconds
    node = sim.nodes[0].machine.local
    ping = m.encode_ping(m.Ping(1 << 30, "node-1000", ("10.0.0.1", PORT), "node-1000"))
    ack = m.encode_ack(m.Ack(1 << 30, _COORDINATE))
    exchange = 2 * size * len(m.encode_alive(node)) / push_pull_interval_s(LAN.push_pull_interval_s, size)
    return Idle(size, probes, probes + exchange, len(ping) + len(ack) + exchange)
