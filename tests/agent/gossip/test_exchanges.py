from __future__ import annotations

from dataclasses import replace

import pytest
from meshtest.gossipmachine import STILL, Player, exchange, peer

from meshagent.agent.gossip import messages as m
from meshagent.agent.gossip.drops import Drop
from meshagent.agent.gossip.exchanges import version_conflict
from meshagent.agent.gossip.node import NodeState
from meshagent.agent.gossip.packet import PacketCodec
from meshagent.agent.gossip.signals import (
    Closed,
    Dial,
    DialFailed,
    DialRead,
    JoinEnded,
    Reply,
    StreamRead,
    StreamRefused,
)
from meshagent.agent.gossip.streams import PushPull, StreamCodec, StreamError, StreamMessage, UserData
from meshagent.machine import Command, Event, Log

THERE = ("10.0.1.1", 7946)


def read(data: bytes, *, dialled: bool) -> StreamMessage:
    message = StreamCodec(PacketCodec()).reader(dialled=dialled).feed(data)
    assert message is not None
    return message


def take(player: Player, event: Event) -> list[Command]:
    return player.keep(player.machine.handle(event, player.now))


def joining(player: Player) -> Dial:
    player.machine.join(THERE, player.now)
    [dial] = player.keep(player.machine.take_commands())
    assert isinstance(dial, Dial)
    return dial


def logs(commands: list[Command]) -> list[str]:
    return [command.message for command in commands if isinstance(command, Log)]


class TestJoining:
    def test_we_say_all_we_know(self) -> None:
        player = Player()
        player.know("a")
        player.delegate.state = b"serf's"
        dial = joining(player)
        assert (dial.address, dial.deadline, dial.answered) == (THERE, player.now + 10, True)
        assert read(dial.data, dialled=True) == PushPull(True, (player.machine.local, peer("a")), b"serf's")

    def test_and_take_what_we_hear(self) -> None:
        player = Player()
        dial = joining(player)
        remote = exchange(
            peer("a"),
            peer("b", state=NodeState.SUSPECT),
            peer("c", state=NodeState.LEFT),
            peer("d", state=NodeState.DEAD),
            state=b"theirs",
        )
        commands = take(player, DialRead(dial.dial, remote))
        assert commands == [JoinEnded(dial.dial, THERE, None)]
        assert player.delegate.take() == [("join", "a"), ("state", b"theirs")]
        assert {node.name for node in player.machine.nodes()} == {"me", "a"}

    def test_remote_deaths_are_suspicions_to_us_and_leaving_is_leaving(self) -> None:
        player = Player()
        player.know("a", "b", "c")
        remote = exchange(
            peer("a", state=NodeState.DEAD), peer("b", state=NodeState.SUSPECT), peer("c", state=NodeState.LEFT)
        )
        take(player, DialRead(joining(player).dial, remote))
        assert [player.state(name) for name in "abc"] == [NodeState.SUSPECT, NodeState.SUSPECT, NodeState.LEFT]
        assert player.delegate.take() == [("left", "c")]

    @pytest.mark.parametrize(
        ("event", "error"),
        [
            (DialFailed(1, "connection refused"), "connection refused"),
            (DialRead(1, StreamError("no key")), "remote error: no key"),
            (DialRead(1, m.Ack(1)), "the answer is not a push/pull"),
            (
                DialRead(1, exchange(peer("a"), peer("b", versions=bytes((1, 5, 9, 2, 5, 4))))),
                "protocol version (9) is incompatible: [1, 5]",
            ),
        ],
    )
    def test_why_it_failed_is_told(self, event: Event, error: str) -> None:
        player = Player()
        joining(player)
        assert take(player, event) == [JoinEnded(1, THERE, error)]
        assert [node.name for node in player.machine.nodes()] == ["me"]

    def test_the_layer_above_may_refuse_the_pool(self) -> None:
        player = Player()
        player.delegate.merge_refusal = "another datacenter"
        dial = joining(player)
        commands = take(player, DialRead(dial.dial, exchange(peer("a"), state=b"x")))
        assert commands == [JoinEnded(dial.dial, THERE, "another datacenter")]
        assert player.delegate.take() == []
        assert player.dropped() == {"refused": 1}

    def test_an_answer_counts_once(self) -> None:
        player = Player()
        dial = joining(player)
        take(player, DialRead(dial.dial, exchange(peer("a"))))
        assert take(player, DialRead(dial.dial, exchange(peer("b")))) == []
        assert player.machine.node("b") is None

    def test_what_we_knew_as_dead_of_ourselves_is_refuted(self) -> None:
        player = Player()
        earlier = peer("me", 7, addr=b"\x0a\0\0\1", state=NodeState.DEAD)
        take(player, DialRead(joining(player).dial, exchange(earlier)))
        assert player.machine.local.incarnation == 8
        assert player.machine.local.state is NodeState.ALIVE


class TestAnswering:
    def test_we_answer_with_our_state_and_then_merge(self) -> None:
        player = Player()
        player.delegate.state = b"ours"
        commands = take(player, StreamRead(5, exchange(peer("a"), join=True, state=b"theirs"), THERE))
        [reply] = [command for command in commands if isinstance(command, Reply)]
        assert reply.stream == 5
        assert read(reply.data, dialled=False) == PushPull(True, (player.machine.local,), b"ours")
        assert player.delegate.take() == [("join", "a"), ("state", b"theirs")]

    def test_a_merge_that_is_refused_is_answered_too(self) -> None:
        player = Player()
        player.delegate.merge_refusal = "another datacenter"
        commands = take(player, StreamRead(5, exchange(peer("a"), join=True), THERE))
        assert isinstance(commands[0], Reply)
        assert "another datacenter" in logs(commands)[0]
        assert player.machine.node("a") is None

    def test_it_is_asked_on_a_join_only(self) -> None:
        player = Player()
        player.delegate.merge_refusal = "another datacenter"
        take(player, StreamRead(5, exchange(peer("a")), THERE))
        assert player.machine.node("a") is not None

    def test_a_ping_is_acked_without_a_payload(self) -> None:
        player = Player()
        player.delegate.ack = b"coordinate"
        [reply] = take(player, StreamRead(5, m.Ping(9, "me"), THERE))
        assert isinstance(reply, Reply)
        assert read(reply.data, dialled=False) == m.Ack(9)

    @pytest.mark.parametrize(
        ("message", "reason"),
        [(m.Ping(9, "you"), "other_name"), (m.Ack(1), "unknown_type"), (StreamError("x"), "unknown_type")],
    )
    def test_what_has_no_answer_is_closed_and_counted(self, message: StreamMessage, reason: str) -> None:
        player = Player()
        assert take(player, StreamRead(5, message, THERE)) == [Closed(5)]
        assert player.dropped() == {reason: 1}

    def test_user_messages_go_up(self) -> None:
        player = Player()
        assert take(player, StreamRead(5, UserData(b"hello"), THERE)) == [Closed(5)]
        assert player.delegate.take() == [("user", b"hello")]

    @pytest.mark.parametrize(
        ("drop", "told"), [(Drop.DECRYPT, True), (Drop.PLAIN, True), (Drop.LABEL, False), (Drop.MALFORMED, False)]
    )
    def test_why_a_stream_is_unreadable_is_told_to_who_may_be_ours(self, drop: Drop, told: bool) -> None:
        player = Player()
        commands = take(player, StreamRefused(5, drop, "because", THERE))
        replies = [read(command.data, dialled=False) for command in commands if isinstance(command, Reply)]
        assert replies == ([StreamError("because")] if told else [])
        assert (Closed(5) in commands) is not told
        assert player.dropped() == {drop.value: 1}


class TestByItself:
    def test_now_and_then_we_exchange_with_somebody_alive(self) -> None:
        player = Player(replace(STILL, push_pull_interval_s=30))
        player.know("a", "b")
        player.hear(m.encode_dead(m.Dead(1, "b", "x")))
        dials = [command for command in player.advance(300) if isinstance(command, Dial)]
        assert len(dials) == 10
        assert {dial.address for dial in dials} == {peer("a").address}
        message = read(dials[0].data, dialled=True)
        assert isinstance(message, PushPull)
        assert not message.join

    def test_its_failure_is_logged(self) -> None:
        player = Player(replace(STILL, push_pull_interval_s=30))
        player.know("a")
        [dial] = [command for command in player.advance(30) if isinstance(command, Dial)]
        assert logs(take(player, DialFailed(dial.dial, "refused"))) == [
            f"push/pull with {peer('a').ip}:7946 failed: refused"
        ]


def test_a_reliable_message_is_one_stream_without_an_answer() -> None:
    player = Player()
    player.machine.send_user_reliable(THERE, b"hello", player.now)
    [dial] = player.keep(player.machine.take_commands())
    assert isinstance(dial, Dial)
    assert read(dial.data, dialled=True) == UserData(b"hello")
    assert not dial.answered
    assert take(player, DialRead(dial.dial, None)) == []
    player.machine.send_user_reliable(THERE, b"hello", player.now)
    assert "not delivered: refused" in logs(take(player, DialFailed(dial.dial + 1, "refused")))[0]


def test_version_conflicts_are_named() -> None:
    assert version_conflict([peer("a"), peer("b", versions=b"")]) is None
    assert version_conflict([peer("a"), peer("b", versions=bytes((3, 5, 3, 2, 5, 4)))]) == (
        "protocol version (2) is incompatible: [3, 5]"
    )
    delegate = version_conflict([peer("a"), peer("b", versions=bytes((1, 5, 2, 0, 0, 0)))])
    assert delegate is not None
    assert delegate.startswith("delegate protocol version")
    gone = peer("b", versions=bytes((3, 5, 3, 2, 5, 4)), state=NodeState.LEFT)
    assert version_conflict([peer("a"), gone]) is None
