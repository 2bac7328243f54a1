from __future__ import annotations

from dataclasses import replace

import pytest
from meshtest.gossipmachine import STILL, Player, peer, said

from meshagent.agent.gossip import messages as m
from meshagent.agent.gossip.node import NodeState
from meshagent.agent.gossip.packet import PacketCodec
from meshagent.agent.gossip.signals import Dial, DialFailed, DialRead
from meshagent.agent.gossip.streams import StreamCodec
from meshagent.machine import Command, Log

OLD = bytes((1, 2, 2, 2, 5, 4))


def probing(*names: str, **fields: object) -> Player:
    """A machine that probes and knows these; its own news has been told."""
    player = Player(replace(STILL, gossip_interval_s=0), probing=True)
    player.know(*names, **fields)
    for _ in range(20):
        player.hear(m.encode_ping(m.Ping(1, "me")))
    return player


def first(player: Player) -> tuple[str, m.Ping]:
    """Lets time pass until the first ping, and returns it with its address."""
    for _ in range(20):
        for address, message in said(player.advance(0.1)):
            if isinstance(message, m.Ping):
                return address, message
    raise AssertionError("no ping")


def ack(ping: m.Ping, payload: bytes = b"") -> bytes:
    return m.encode_ack(m.Ack(ping.seq_no, payload))


def dials(commands: list[Command]) -> list[Dial]:
    return [command for command in commands if isinstance(command, Dial)]


class TestAProbe:
    def test_it_says_who_asks_whom(self) -> None:
        player = probing("a")
        address, ping = first(player)
        assert address == peer("a").ip
        assert ping == m.Ping(ping.seq_no, "a", ("10.0.0.1", 7946), "me")

    def test_an_ack_ends_it_and_gives_the_round_trip(self) -> None:
        player = probing("a")
        _, ping = first(player)
        sent = player.now
        player.now += 0.25
        player.hear(ack(ping, b"here"))
        assert player.delegate.take() == [("rtt", ("a", pytest.approx(0.25, abs=0.11), b"here"))]
        assert player.now - sent == 0.25
        assert player.advance(0.4) == []

    def test_all_are_asked_before_anybody_is_asked_again(self) -> None:
        names = {f"n{number}" for number in range(8)}
        player = probing(*names)
        rounds = []
        for _ in range(16):
            _, ping = first(player)
            rounds.append(ping.node)
            player.hear(ack(ping))
        assert set(rounds[:8]) == names
        assert set(rounds[8:]) == names

    def test_the_dead_are_not_asked(self) -> None:
        player = probing("a")
        player.hear(m.encode_dead(m.Dead(1, "a", "x")))
        assert not any(isinstance(what, m.Ping) for _, what in said(player.advance(5)))

    def test_a_suspect_is_told_so_with_the_ping_and_a_crc(self) -> None:
        player = probing("a")
        player.hear(m.encode_suspect(m.Suspect(1, "a", "x")))
        player.delegate.waiting = [b"other news"]
        commands = []
        while not commands:
            commands = player.advance(0.1)
        packet = commands[0].data  # type: ignore[attr-defined]
        assert packet[0] == 12
        [(_, ping), (_, suspect)] = said(commands)
        assert isinstance(ping, m.Ping)
        assert suspect == m.Suspect(1, "a", "me")


class TestNoAck:
    def test_others_are_asked_and_tcp_is_tried(self) -> None:
        player = probing("a", "b", "c", "d", "e")
        _, ping = first(player)
        commands = player.advance(0.55)
        asked = [(where, what) for where, what in said(commands) if isinstance(what, m.IndirectPing)]
        assert len(asked) == 3
        helpers = {peer(name).ip for name in "abcde" if name != ping.node}
        assert {where for where, _ in asked} <= helpers
        assert {what for _, what in asked} == {
            m.IndirectPing(ping.seq_no, peer(ping.node).address, ping.node, True, ("10.0.0.1", 7946), "me")
        }
        [dial] = dials(commands)
        assert dial.address == peer(ping.node).address
        assert StreamCodec(PacketCodec()).reader(dialled=True).feed(dial.data) == ping
        assert dial.answered

    def test_then_it_is_suspect_at_the_end_of_the_interval(self) -> None:
        player = probing("a")
        first(player)
        player.advance(0.85)
        assert player.state("a") is NodeState.ALIVE
        player.advance(0.2)
        assert player.state("a") is NodeState.SUSPECT
        assert player.machine.health_score == 1

    def test_an_ack_that_another_got_counts(self) -> None:
        player = probing("a", "b")
        _, ping = first(player)
        player.advance(0.6)
        player.hear(ack(ping), source=("10.0.0.77", 7946))
        assert player.delegate.take() == []
        player.advance(0.5)
        assert player.state(ping.node) is NodeState.ALIVE

    def test_an_ack_by_tcp_alone_counts_and_is_logged(self) -> None:
        player = probing("a")
        _, ping = first(player)
        [dial] = dials(player.advance(0.6))
        player.keep(player.machine.handle(DialRead(dial.dial, m.Ack(ping.seq_no)), player.now))
        logged = [command for command in player.advance(0.4) if isinstance(command, Log)]
        assert "not over UDP" in logged[0].message
        assert player.state("a") is NodeState.ALIVE

    def test_a_failed_dial_or_another_ack_does_not(self) -> None:
        for answer in (m.Ack(0), None):
            player = probing("a")
            first(player)
            [dial] = dials(player.advance(0.6))
            event = DialRead(dial.dial, answer) if answer else DialFailed(dial.dial, "refused")
            player.keep(player.machine.handle(event, player.now))
            player.advance(0.4)
            assert player.state("a") is NodeState.SUSPECT

    def test_old_peers_are_asked_for_neither_tcp_nor_nacks(self) -> None:
        player = probing("a", "b", versions=OLD)
        first(player)
        commands = player.advance(0.6)
        assert dials(commands) == []
        assert [what.nack for _, what in said(commands) if isinstance(what, m.IndirectPing)] == [False]

    def test_an_ack_that_nobody_waits_for_is_counted(self) -> None:
        player = probing("a")
        player.hear(m.encode_ack(m.Ack(5)), m.encode_nack(5))
        assert player.dropped() == {"stale_ack": 2}

    def test_what_was_recorded_of_an_earlier_life_is_no_answer(self) -> None:
        """A replayed ack must not keep the dead alive: numbers do not begin anew with each start."""
        numbers = set()
        for seed in range(8):
            player = Player(STILL, probing=True, seed=seed)
            player.know("a")
            numbers.add(first(player)[1].seq_no)
        assert len(numbers) == 8


class TestOurHealth:
    def test_missing_nacks_are_held_against_us(self) -> None:
        player = probing("a", "b", "c", "d")
        _, ping = first(player)
        player.advance(0.6)
        player.hear(m.encode_nack(ping.seq_no))
        player.advance(0.4)
        assert player.machine.health_score == 2

    def test_all_nacks_say_that_it_is_not_us(self) -> None:
        player = probing("a", "b", "c", "d")
        _, ping = first(player)
        player.advance(0.6)
        player.hear(*[m.encode_nack(ping.seq_no)] * 4)
        assert player.dropped() == {"stale_ack": 1}
        player.advance(0.4)
        assert player.machine.health_score == 0
        assert player.state(ping.node) is NodeState.SUSPECT

    def test_in_bad_health_more_time_is_given(self) -> None:
        player = probing("a")
        player.hear(m.encode_suspect(m.Suspect(1, "me", "x")), m.encode_suspect(m.Suspect(2, "me", "x")))
        assert player.machine.health_score == 2
        first(player)
        player.advance(2.5)
        assert player.state("a") is NodeState.ALIVE
        player.advance(0.6)
        assert player.state("a") is NodeState.SUSPECT

    def test_every_ack_makes_it_better(self) -> None:
        player = probing("a")
        player.hear(m.encode_suspect(m.Suspect(1, "me", "x")))
        _, ping = first(player)
        player.hear(ack(ping))
        assert player.machine.health_score == 0


class TestErrands:
    ASKED = m.encode_indirect_ping(m.IndirectPing(77, ("10.0.5.5", 8000), "far", True, ("10.0.6.6", 9000), "asker"))

    def test_we_ping_and_pass_the_ack_on(self) -> None:
        player = Player()
        [(where, ping)] = said(player.hear(self.ASKED))[:1]
        assert isinstance(ping, m.Ping)
        assert (where, ping.node) == ("10.0.5.5", "far")
        assert ping.seq_no != 77
        assert ("10.0.6.6", m.Ack(77)) in said(player.hear(ack(ping, b"coordinate")))
        assert not any(isinstance(what, int) for _, what in said(player.advance(1)))

    def test_or_say_that_there_was_none(self) -> None:
        player = Player()
        player.hear(self.ASKED)
        assert ("10.0.6.6", 77) in said(player.advance(0.6))

    def test_but_only_if_asked_to(self) -> None:
        player = Player()
        player.hear(m.encode_indirect_ping(m.IndirectPing(77, ("10.0.5.5", 0), "far", False)))
        assert said(player.advance(0.6)) == []

    def test_without_a_source_the_sender_gets_it_and_port_0_is_ours(self) -> None:
        player = Player()
        asked = m.encode_indirect_ping(m.IndirectPing(77, ("10.0.5.5", 0), "far", False))
        commands = player.hear(asked, source=("10.0.8.8", 5))
        assert commands[0].address == ("10.0.5.5", 7946)  # type: ignore[attr-defined]
        [(_, ping)] = said(commands)[:1]
        assert isinstance(ping, m.Ping)
        assert player.hear(ack(ping))[0].address == ("10.0.8.8", 5)  # type: ignore[attr-defined]


class TestPings:
    def test_they_are_acked_to_the_source_they_name(self) -> None:
        player = Player()
        player.delegate.ack = b"coordinate"
        commands = player.hear(m.encode_ping(m.Ping(9, "me", ("10.0.7.7", 77), "x")))
        assert said(commands)[0] == ("10.0.7.7", m.Ack(9, b"coordinate"))

    def test_or_to_the_sender(self) -> None:
        assert said(Player().hear(m.encode_ping(m.Ping(9, "")), source=("10.0.8.8", 5)))[0] == ("10.0.8.8", m.Ack(9))

    def test_another_name_gets_silence(self) -> None:
        player = Player()
        assert player.hear(m.encode_ping(m.Ping(9, "you"))) == []
        assert player.dropped() == {"other_name": 1}
