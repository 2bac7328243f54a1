from __future__ import annotations

from random import Random

from meshtest.gossipmachine import STILL, Player, Recorder, peer, said

from meshagent.agent.gossip.core import Core
from meshagent.agent.gossip.messages import encode_alive
from meshagent.agent.gossip.packet import PacketCodec
from meshagent.agent.gossip.streams import StreamCodec
from meshagent.agent.gossip.telemetry import Telemetry
from meshagent.metrics import Metrics


def core(seed: int = 1) -> Core:
    packets = PacketCodec()
    return Core(
        "me",
        STILL,
        packets,
        StreamCodec(packets),
        Recorder(),
        Random(seed),
        Telemetry(Metrics()),  # type: ignore[arg-type]
    )


def test_numbers_go_round() -> None:
    one = core()
    one._seq_no = 0xFFFF_FFFE
    assert [one.next_seq_no() for _ in range(3)] == [0xFFFF_FFFF, 0, 1]


def test_broadcasts_ride_along_ours_first() -> None:
    one = core()
    one.table.put(peer("me"), 0)
    one.broadcasts.add(encode_alive(peer("a")), "a")
    one.delegate.waiting = [b"event"]  # type: ignore[attr-defined]
    one.send(("10.0.0.2", 1), b"\x08first")
    assert [what for _, what in said(one.out)] == [b"first", peer("a"), b"event"]


def test_a_full_message_goes_alone() -> None:
    one = core()
    one.table.put(peer("me"), 0)
    one.delegate.waiting = [b"event"]  # type: ignore[attr-defined]
    one.send(("10.0.0.2", 1), b"\x08" + b"x" * 1385)
    assert len(said(one.out)) == 1


def test_health_is_a_gauge() -> None:
    player = Player()
    player.machine._core.degrade(3)
    assert "consul_memberlist_health_score 3" in player.metrics.prometheus().decode()
