"""Simulated pools, in small: what gossip_report.py measures in large. Every figure follows from a seed."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from meshtest import gossipexperiments as experiments
from meshtest import serfexperiments
from meshtest.gossipsim import GossipSim, no_collection

from meshagent.agent.gossip.node import NodeState
from meshagent.agent.gossip.settings import LAN


def trace(seed: int) -> list[tuple[float, str, int, str]]:
    sim = GossipSim(30, seed=seed, loss=0.05)
    sim.run(3)
    sim.join(sim.add(), sim.nodes[4])
    sim.kill(sim.nodes[7])
    sim.run(40)
    return sim.noted


def test_the_same_seed_is_the_same_history() -> None:
    assert trace(3) == trace(3)
    assert trace(3) != trace(4)


@pytest.mark.parametrize("experiment", [experiments.join, experiments.change])
def test_news_spreads_as_fast_as_serfs_simulator_says(experiment: object) -> None:
    row = experiment(1000, seed=11, times=4)  # type: ignore[operator]
    assert row.most_s <= row.formula_s


def test_news_spreads_when_packets_are_lost() -> None:
    row = experiments.change(200, seed=5, times=8, loss=0.2)
    assert row.most_s <= 1.25 * row.formula_s


def test_a_killed_node_is_found_within_memberlists_bound() -> None:
    row = experiments.detection(100, seed=21, times=15)
    assert row.p99_s <= row.formula_p99_s
    assert row.mean_s <= row.formula_mean_s
    assert row.false_deaths == 0


@pytest.mark.parametrize("tcp", [True, False])
def test_lost_packets_kill_nobody(tcp: bool) -> None:
    row = experiments.false_positives(60, seed=8, hours=0.1, loss=0.05, settings=replace(LAN, tcp_pings=tcp))
    assert row["deaths"] == 0
    assert row["least known"] == 60
    assert (row["suspicions"] == 0) is tcp


def test_slow_nodes_do_not_kill_the_well() -> None:
    """Lifeguard's experiment: the slow ones blame others, and are not believed."""
    rows = [
        experiments.anomalies(40, 6, seed=9, settings=settings, minutes=1, slow_s=16.384, well_s=0.004)
        for settings in (experiments.PLAIN_SWIM, LAN)
    ]
    assert rows[0].at_the_well > 1000
    assert rows[1].at_the_well * 50 < rows[0].at_the_well


def test_a_paused_node_accuses_nobody_when_it_goes_on() -> None:
    sim = GossipSim(40, seed=6)
    sim.run(3)
    sim.pause(sim.nodes[0])
    sim.run(6)
    sim.resume(sim.nodes[0])
    sim.run(20)
    assert sim.counts["dead"] == 0
    assert all(len(node.machine.up_nodes()) == 40 for node in sim.nodes)


def test_without_udp_a_node_stays_by_tcp() -> None:
    sim = GossipSim(20, seed=6)
    sim.run(3)
    sim.nodes[3].udp = False
    sim.run(60)
    assert sim.counts["dead"] == 0


def test_a_deaf_node_kills_nobody() -> None:
    """A one-way partition: it hears no acks and blames all in turn; they hear it, and answer for themselves."""
    sim = GossipSim(30, seed=6)
    sim.run(3)
    sim.nodes[3].deaf = True
    sim.run(120)
    wrong = [(index, name) for _, kind, index, name in sim.noted if kind == "dead" and index != 3 and name != "node-3"]
    assert wrong == []
    assert len([index for _, kind, index, name in sim.noted if kind == "dead" and name == "node-3"]) == 29
    assert sim.nodes[3].machine.health_score == 7


def test_who_was_cut_off_comes_back() -> None:
    """Both halves take each other for dead; one push/pull later all are one pool again."""
    sim = GossipSim(20, seed=6)
    sim.run(3)
    parted = sim.nodes[:6]
    for node in parted:
        node.alive = False
    sim.run(60)
    assert {node.machine.node("node-0").state for node in sim.nodes[6:] if node.machine.node("node-0")} <= {  # type: ignore[union-attr]
        NodeState.DEAD
    }
    for node in parted:
        node.alive = True
        node.wake_at = sim.now
        sim._push(sim.now, node.index, None)
    sim.join(sim.nodes[0], sim.nodes[10])
    for node in parted[1:]:
        sim.join(node, sim.nodes[0])
    sim.run(60)
    assert all({other.name for other in node.machine.up_nodes()} == {n.name for n in sim.nodes} for node in sim.nodes)


def test_who_leaves_is_known_to_have_left_by_all() -> None:
    sim = GossipSim(50, seed=2)
    sim.run(2)
    sim.call(sim.nodes[9], lambda machine, now: machine.leave(now))
    sim.run(4)
    assert len(sim.times("left", "node-9")) == 50
    assert sim.counts["dead"] == 0


def test_a_pool_is_built_from_nothing() -> None:
    """100 agents join one after another through the first, as they do when a rack is switched on."""
    with no_collection():
        sim = GossipSim(1, seed=3, loss=0.02)
        for _ in range(99):
            sim.join(sim.add(), sim.nodes[0])
            sim.run(0.02)
        sim.run(5)
    assert all(len(node.machine.up_nodes()) == 100 for node in sim.nodes)
    assert sim.counts["dead"] == 0


def test_idle_nodes_send_what_the_formula_says() -> None:
    row = experiments.idle(100, seed=1, seconds=30)
    assert row.probes == pytest.approx(row.formula - (row.with_push_pull - row.probes), rel=0.1)


class TestHostilePeers:
    """A member with the key that says what is not so; the others stay what they are."""

    @pytest.mark.parametrize("incarnation", [1, 2, 1000, 0xFFFF_FFFD, 0xFFFF_FFFE, 0xFFFF_FFFF])
    def test_nobody_dies_of_forged_accusations(self, incarnation: int) -> None:
        from meshagent.agent.gossip import messages as m
        from meshagent.agent.gossip.signals import PacketRead

        sim = GossipSim(20, seed=4)
        sim.run(2)
        for accuser in ("node-1", "node-2", "node-3", "stranger"):
            for forged in (
                m.encode_suspect(m.Suspect(incarnation, "node-5", accuser)),
                m.encode_dead(m.Dead(incarnation, "node-6", accuser)),
                m.encode_dead(m.Dead(incarnation, "node-7", "node-7")),
            ):
                for node in sim.nodes[8:12]:
                    sim._give(node, PacketRead(forged, ("10.9.9.9", 1)))
        sim.run(60)
        assert all(len(node.machine.up_nodes()) == 20 for node in sim.nodes)

    def test_nor_is_a_name_taken(self) -> None:
        from meshagent.agent.gossip import messages as m
        from meshagent.agent.gossip.node import Node
        from meshagent.agent.gossip.signals import PacketRead

        sim = GossipSim(20, seed=4)
        sim.run(2)
        forged = m.encode_alive(Node("node-5", b"\x0a\x09\x09\x09", 1, incarnation=1000))
        for node in sim.nodes:
            sim._give(node, PacketRead(forged, ("10.9.9.9", 1)))
        sim.run(30)
        for node in sim.nodes:
            known = node.machine.node("node-5")
            assert known is not None
            assert known.ip == "10.0.0.5"
        assert sim.counts["dead"] == 0
        assert sim.counts["conflict"] == 20


@pytest.mark.parametrize("number", range(12))
def test_whatever_goes_wrong_one_pool_comes_of_it(number: int) -> None:
    """Kills, restarts, pauses, slow and deaf nodes, leaves, and lost packets, by chance; then quiet.

    In the end every running node takes exactly the running ones for up. Who was out for long asks to join again, as the
    layer above does (reconnect, retry_join).
    """
    chance = Random(number)
    sim = GossipSim(15, seed=number, loss=chance.choice([0.0, 0.05, 0.2]))
    gone: set[int] = set()
    out: set[int] = set()
    for _ in range(25):
        sim.run(chance.uniform(0.1, 12))
        node = sim.nodes[chance.randrange(len(sim.nodes))]
        if node.index in gone:
            continue
        trouble = chance.choice(["kill", "restart", "pause", "slow", "deaf", "resume", "leave", "new", "meta"])
        if trouble in ("kill", "restart"):
            sim.kill(node)
            sim.run(chance.uniform(0, 40))
            sim.restart(node)
            out.add(node.index)
        elif trouble == "leave" and len(gone) < 5 and node.index not in out:
            sim.call(node, lambda machine, now: machine.leave(now))
            sim.run(3)
            sim.kill(node)
            gone.add(node.index)
        elif trouble == "new":
            out.add(sim.add().index)
        elif trouble == "meta":
            node.delegate.meta = bytes((0xFF, 0x80, chance.randrange(100)))
            sim.call(node, lambda machine, now: machine.update_meta(now))
        elif trouble == "resume":
            node.deaf = False
            sim.resume(node)
        else:
            node.deaf = node.deaf or trouble == "deaf"
            node.paused = node.paused or trouble == "pause"
            node.slow = node.slow or trouble == "slow"
            out.add(node.index)
    sim.loss = 0.0
    running = [node for node in sim.nodes if node.index not in gone]
    for node in running:
        node.deaf = False
        sim.resume(node)
    for _ in range(3):
        sim.run(30)
        for node in running:
            known = {other.name for other in node.machine.up_nodes()}
            for other in running:
                if other.name not in known:
                    sim.join(node, other)
                    break
    sim.run(120)
    names = {node.name for node in running}
    for node in running:
        assert {other.name for other in node.machine.up_nodes()} == names, (number, node.name)
        for other in running:
            assert node.machine.node(other.name).meta == other.machine.local.meta  # type: ignore[union-attr]


@pytest.mark.parametrize("loss", [0.0, 0.05])
def test_events_and_queries_reach_everybody_and_clocks_agree(loss: float) -> None:
    """What loss keeps from one of forty within five seconds comes with its next full exchange."""
    row = serfexperiments.events(40, seed=3, count=3, loss=loss)
    assert row.missed <= (3 if loss else 0)
    assert loss or row.clock_gap == 0
    assert row.most_s <= row.formula_s + 0.4
    assert serfexperiments.queries(40, seed=3, count=2, timeout_s=3.0, loss=loss).acked > 0.8
