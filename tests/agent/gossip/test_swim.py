from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meshtest.gossipgolden import MESSAGES, REACTIONS, Ring, codec_for
from meshtest.gossipmachine import STILL, Player, peer, said

from meshagent.agent.gossip import messages as m
from meshagent.agent.gossip.delegate import WAKE
from meshagent.agent.gossip.node import NodeState
from meshagent.agent.gossip.packet import PACKET_BYTES, PacketCodec
from meshagent.agent.gossip.seal import Seal
from meshagent.agent.gossip.signals import PacketRead, SendPacket
from meshagent.errors import LocalProtocolError
from meshagent.machine import SetTimer, TimerFired

SOURCE = ("127.0.0.1", 7946)


def peer_named_as_in_the_captures(row: dict[str, Any]) -> Player:
    keys = [base64.b64decode(row["key_base64"])] if "key_base64" in row else []
    player = Player(codec=PacketCodec(Seal(Ring(*keys), lambda: b"n" * 12)))
    player.machine._core.table.nodes.clear()
    player.machine._core.table._ring.clear()
    player.machine._core.name = "peer"
    player.machine.start(player.now)
    player.keep(player.machine.take_commands())
    return player


@pytest.mark.parametrize("row", [row for row in REACTIONS if row["transport"] == "udp"], ids=lambda row: row["name"])
def test_we_react_as_live_peers_do(row: dict[str, Any]) -> None:
    """reactions.jsonl: the acks and nacks that three peers sent, or their silence."""
    player = peer_named_as_in_the_captures(row)
    commands = player.keep(player.machine.handle(PacketRead(bytes.fromhex(row["hex"]), SOURCE), player.now))
    for what in [what for _, what in said(commands, player.codec) if isinstance(what, m.Ping)]:
        if what.node == "peer":  # the indirect ping to ourselves: we ping ourselves
            commands += player.hear(m.encode_ping(what), source=SOURCE)
            commands += player.hear(m.encode_ack(m.Ack(what.seq_no)), source=SOURCE)
    commands += player.advance(1)
    own = {what.seq_no for _, what in said(commands, player.codec) if isinstance(what, m.Ping)}
    answers = [
        f"ackResp {what.seq_no}" if isinstance(what, m.Ack) else f"nackResp {what}"
        for _, what in said(commands, player.codec)
        if (isinstance(what, m.Ack) and what.seq_no not in own) or isinstance(what, int)
    ]
    expected = set(row["reaction"].values())
    assert (", ".join(answers) or "silence") in expected


def test_a_captured_pool_becomes_ours() -> None:
    """Every plain packet of the first scenario, in its order: the members it speaks of are known."""
    player = Player()
    for row in MESSAGES:
        if row["name"].startswith("serf_plain") and row["transport"] == "udp":
            player.machine.handle(PacketRead(bytes.fromhex(row["hex"]), SOURCE), player.now)
    assert {node.name for node in player.machine.nodes()} >= {"me", "alpha", "bravo", "charlie", "delta"}
    assert player.dropped().keys() <= {"other_name", "stale_ack", "conflict"}


@given(st.lists(st.sampled_from([row for row in MESSAGES if row["transport"] == "udp"]), max_size=8), st.data())
def test_mutated_captures_never_break_it(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    player = Player()
    for row in rows:
        for message in _messages(row):
            mutated = bytearray(message)
            for _ in range(data.draw(st.integers(0, 3))):
                mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
            player.machine.handle(PacketRead(bytes(mutated), SOURCE), player.now)
    player.advance(60)
    assert player.machine.local.state is NodeState.ALIVE


def _messages(row: dict[str, Any]) -> list[bytes]:
    if "unreadable" in str(row["decoded"]):
        return [bytes.fromhex(row["hex"])]
    return codec_for(row).decode(bytes.fromhex(row["hex"]))[0]


@given(st.binary(max_size=100))
def test_any_packet_is_taken_or_dropped(data: bytes) -> None:
    player = Player()
    player.machine.handle(PacketRead(data, SOURCE), player.now)


class TestTheGossipRound:
    GOSSIPING = replace(STILL, gossip_interval_s=0.2)

    def test_news_goes_to_three_by_chance_and_bears_a_crc(self) -> None:
        player = Player(self.GOSSIPING)
        player.hear(*[m.encode_alive(peer(name)) for name in "abcdef"])
        commands = player.advance(0.2)
        packets = [command for command in commands if isinstance(command, SendPacket)]
        assert len({packet.address for packet in packets}) == 3
        assert all(packet.data[0] == 12 for packet in packets)
        assert len([what for _, what in said(commands)]) == 3 * 7

    def test_each_is_told_so_often_and_no_more(self) -> None:
        player = Player(self.GOSSIPING)
        player.hear(m.encode_alive(peer("a")), m.encode_alive(peer("b")))
        told = [what for _, what in said(player.advance(20))]
        assert told.count(peer("a")) == 4
        assert player.advance(20) == []

    def test_with_nothing_to_tell_it_rests_and_the_next_news_goes_at_once(self) -> None:
        player = Player(self.GOSSIPING)
        player.know("a")
        player.advance(20)
        assert player.wake_at == float("inf")
        player.know("b")
        assert player.wake_at <= player.now
        assert peer("b") in [what for _, what in said(player.advance(0))]
        player.know("c")  # the round after it comes when it is time
        assert said(player.advance(0.19)) == []
        assert peer("c") in [what for _, what in said(player.advance(0.01))]

    def test_alone_it_keeps_its_news(self) -> None:
        player = Player(self.GOSSIPING)
        assert player.advance(20) == []
        player.hear(m.encode_alive(peer("a")))
        assert player.machine.local in [what for _, what in said(player.advance(1))]

    def test_the_dead_are_told_for_a_while_and_who_left_is_not(self) -> None:
        player = Player(self.GOSSIPING)
        player.know("a", "b")
        player.hear(m.encode_dead(m.Dead(1, "a", "x")), m.encode_dead(m.Dead(1, "b", "b")))
        assert {where for where, _ in said(player.advance(20))} == {peer("a").ip}
        player.advance(20)
        player.delegate.waiting = [b"late news"]
        player.keep(player.machine.take_commands())
        assert said(player.advance(2)) == []

    def test_news_of_the_layer_above_comes_last_and_bears_its_number(self) -> None:
        player = Player(self.GOSSIPING)
        player.know("a")
        player.advance(20)
        player.delegate.waiting = [b"event", b"query"]
        player.keep(player.machine.take_commands())  # as after every call from above
        [packet] = [command for command in player.advance(0.2) if isinstance(command, SendPacket)]
        assert player.codec.decode(packet.data)[0] == [b"\x08event", b"\x08query"]

    def test_peers_that_know_no_crc_get_none(self) -> None:
        player = Player(self.GOSSIPING)
        player.know("a", versions=bytes((1, 4, 2, 2, 5, 4)))
        [packet, *_] = [command for command in player.advance(0.2) if isinstance(command, SendPacket)]
        assert packet.data[0] == 7

    def test_packets_stay_below_the_mtu(self) -> None:
        player = Player(self.GOSSIPING, codec=PacketCodec(Seal(Ring(b"k" * 32), lambda: b"n" * 12)))
        player.hear(*[m.encode_alive(peer(f"node-{n}", meta=b"m" * 300)) for n in range(40)])
        player.delegate.waiting = [b"x" * 400] * 20
        packets = [command for command in player.advance(10) if isinstance(command, SendPacket)]
        assert max(len(packet.data) for packet in packets) <= PACKET_BYTES
        assert max(len(packet.data) for packet in packets) > PACKET_BYTES - 400


class TestCallsFromAbove:
    def test_a_user_message_goes_alone(self) -> None:
        player = Player()
        player.machine.send_user(SOURCE, b"answer", player.now)
        assert player.keep(player.machine.take_commands()) == [SendPacket(SOURCE, b"\x08answer")]

    def test_what_comes_of_one_goes_up(self) -> None:
        player = Player()
        player.hear(b"\x08\x05rest")
        assert player.delegate.take() == [("user", b"\x05rest")]

    def test_who_is_there(self) -> None:
        player = Player()
        assert not player.machine.alive_others()
        player.know("a", "b")
        player.hear(m.encode_dead(m.Dead(1, "a", "x")))
        assert {node.name for node in player.machine.up_nodes()} == {"me", "b"}
        assert {node.name for node in player.machine.nodes()} == {"me", "a", "b"}
        assert player.machine.size == 3
        assert player.machine.alive_others()

    def test_too_much_metadata_is_our_error(self) -> None:
        player = Player()
        player.delegate.meta = b"m" * 513
        with pytest.raises(LocalProtocolError, match="513 bytes"):
            player.machine.update_meta(player.now)


def test_one_timer_is_all_it_needs() -> None:
    player = Player(replace(STILL, gossip_interval_s=0.2, push_pull_interval_s=30), probing=True)
    player.know("a", "b")
    commands = player.machine.handle(TimerFired(WAKE), player.now + 0.2)
    assert {command.name for command in commands if isinstance(command, SetTimer)} == {WAKE}
    assert player.machine.handle(TimerFired("serf"), player.now + 0.2) == []


def test_replayed_packets_kill_nobody() -> None:
    """All that was ever said about a node, said again, once it is back with a higher incarnation."""
    player = Player()
    history = [
        m.encode_alive(peer("a")),
        m.encode_suspect(m.Suspect(1, "a", "x")),
        m.encode_dead(m.Dead(1, "a", "x")),
        m.encode_dead(m.Dead(1, "a", "a")),
    ]
    for message in history:
        player.hear(message)
    player.hear(m.encode_alive(peer("a", 2)))
    for message in history * 3:
        player.hear(message)
    player.advance(1000)
    assert player.state("a") is NodeState.ALIVE


def test_compounds_are_used_as_far_as_they_go() -> None:
    player = Player()
    data = player.codec.encode([m.encode_alive(peer("a")), m.encode_alive(peer("b"))])[0]
    player.machine.handle(PacketRead(data[:-3], SOURCE), player.now)
    assert player.state("a") is NodeState.ALIVE
    assert player.dropped() == {"malformed": 1}
