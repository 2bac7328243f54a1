"""Two machines joined by a wire that cuts where it likes: what one asks the other answers, and bad input ends it."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.catalog.rpc import frames, signals
from meshagent.catalog.rpc.connection import Connection
from meshagent.catalog.rpc.frames import PREFACE, FrameReader, encode
from meshagent.catalog.rpc.hello import CLIENT, NEWEST, SERVER, Identity
from meshagent.catalog.rpc.reasons import Reason
from meshagent.catalog.rpc.settings import RpcSettings
from meshagent.errors import Conflict, MeshError, NoLeader, Timeout, TooLarge, Unavailable
from meshagent.machine import CancelTimer, Command, Event, SetTimer, TimerFired

ALICE = Identity("id-a", "alice", "dc1", "c1")
BOB = Identity("id-b", "bob", "dc1", "c1")


@dataclass
class End:
    """One machine, what it wrote and what it said."""

    machine: Connection
    written: bytearray = field(default_factory=bytearray)
    said: list[Command] = field(default_factory=list)
    timers: dict[str, float] = field(default_factory=dict)

    def take(self, event: Event, now: float) -> list[Command]:
        commands = self.machine.handle(event, now)
        for command in commands:
            if isinstance(command, signals.Write):
                self.written += command.data
            elif isinstance(command, SetTimer):
                self.timers[command.name] = command.at
            elif isinstance(command, CancelTimer):
                self.timers.pop(command.name, None)
            else:
                self.said.append(command)
        return commands

    def all(self, kind: type) -> list[Any]:
        return [command for command in self.said if isinstance(command, kind)]

    @property
    def closed(self) -> tuple[Reason, bool] | None:
        closes = self.all(signals.Close)
        return (closes[-1].reason, closes[-1].by_peer) if closes else None


class Pair:
    """A dialler and a listener. `cut`: at most so many bytes arrive at a time."""

    def __init__(
        self,
        dialler: Identity = ALICE,
        listener: Identity = BOB,
        *,
        settings: RpcSettings | None = None,
        cut: int = 1 << 30,
        dialler_options: dict[str, Any] | None = None,
        listener_options: dict[str, Any] | None = None,
    ) -> None:
        settings = settings or RpcSettings()
        self.now = 100.0
        self.cut = cut
        self.a = End(Connection(dialler, settings, dialled=True, epoch=7, **(dialler_options or {})))
        self.b = End(Connection(listener, settings, dialled=False, **(listener_options or {})))
        self.a.take(signals.Opened(), self.now)
        self.b.take(signals.Opened(), self.now)
        self.run()

    def run(self) -> None:
        """Until the wire is silent."""
        moved = True
        while moved:
            moved = False
            for sender, receiver in ((self.a, self.b), (self.b, self.a)):
                data = bytes(sender.written)
                sender.written.clear()
                for begin in range(0, len(data), self.cut):
                    receiver.take(signals.Received(data[begin : begin + self.cut]), self.now)
                    moved = True

    def do(self, end: End, event: Event) -> None:
        end.take(event, self.now)
        self.run()

    def pass_time(self, until: float) -> None:
        """Fire timers in order; what they send arrives at once."""
        while True:
            due = [(at, name, end) for end in (self.a, self.b) for name, at in end.timers.items() if at <= until]
            if not due:
                break
            at, name, end = min(due, key=lambda row: row[:2])
            del end.timers[name]
            self.now = max(self.now, at)
            self.do(end, TimerFired(name))
        self.now = until


@pytest.mark.parametrize("cut", [1, 3, 1 << 20])
def test_both_learn_who_the_other_is(cut: int) -> None:
    pair = Pair(cut=cut)
    (of_a,), (of_b,) = pair.a.all(signals.Accepted), pair.b.all(signals.Accepted)
    assert (of_a.peer.node_id, of_a.peer.role, of_a.peer.epoch) == ("id-b", SERVER, 7)
    assert (of_b.peer.node_id, of_b.peer.node_name, of_b.peer.epoch) == ("id-a", "alice", 7)
    assert "handshake" not in pair.a.timers
    assert "handshake" not in pair.b.timers


def test_the_listener_says_nothing_before_it_was_greeted() -> None:
    listener = End(Connection(BOB, RpcSettings(), dialled=False))
    listener.take(signals.Opened(), 0)
    listener.take(signals.Received(PREFACE), 0)
    assert not listener.written


def test_a_request_and_its_answer() -> None:
    pair = Pair()
    pair.do(pair.a, signals.Call("t", "propose", b"question", 7.0))
    (arrived,) = pair.b.all(signals.Arrived)
    assert (arrived.method, arrived.payload, arrived.timeout_s) == ("propose", b"question", 7.0)
    pair.do(pair.b, signals.Reply(arrived.id, b"answer"))
    assert pair.a.all(signals.Answered) == [signals.Answered("t", b"answer")]


def test_either_side_may_ask_and_answers_may_overtake() -> None:
    pair = Pair()
    for token in ("one", "two"):
        pair.do(pair.b, signals.Call(token, "m", b"", 1.0))
    first, second = pair.a.all(signals.Arrived)
    pair.do(pair.a, signals.Reply(second.id, b"2"))
    pair.do(pair.a, signals.Reply(first.id, b"1"))
    assert [(done.token, done.payload) for done in pair.b.all(signals.Answered)] == [("two", b"2"), ("one", b"1")]


@pytest.mark.parametrize("error", [NoLeader(), Conflict("it moved on"), KeyError("a bug")])
def test_an_error_arrives_as_what_it_was(error: Exception) -> None:
    pair = Pair()
    pair.do(pair.a, signals.Call("t", "m", b"", 1.0))
    pair.do(pair.b, signals.Refuse(pair.b.all(signals.Arrived)[0].id, error))
    (failed,) = pair.a.all(signals.Failed)
    if isinstance(error, MeshError):
        assert (type(failed.error), str(failed.error)) == (type(error), str(error))
    else:
        assert "a bug" not in str(failed.error)


def test_a_stream_comes_in_pieces_and_ends() -> None:
    pair = Pair()
    pair.do(pair.a, signals.Call("t", "watch", b"", 1.0))
    (arrived,) = pair.b.all(signals.Arrived)
    for piece in (b"1", b"2"):
        pair.do(pair.b, signals.Piece(arrived.id, piece))
    pair.pass_time(pair.now + 3600)  # the timeout was for its begin
    pair.do(pair.b, signals.LastPiece(arrived.id))
    assert [piece.payload for piece in pair.a.all(signals.Streamed)] == [b"1", b"2"]
    assert pair.a.all(signals.StreamEnded) == [signals.StreamEnded("t")]
    assert not pair.a.all(signals.Failed)


def test_a_stream_with_a_window_waits_until_it_is_read() -> None:
    """Mutation: the listener does not count what leaves, or a credit adds nothing."""
    pair = Pair()
    pair.do(pair.a, signals.Call("t", "watch", b"", 1.0, window=1000))
    (arrived,) = pair.b.all(signals.Arrived)
    spent = pair.b.machine.is_spent
    for piece, expected in ((bytes(600), False), (b"", False), (bytes(144), True)):  # an empty one counts as 256
        assert not spent(arrived.id)
        pair.do(pair.b, signals.Piece(arrived.id, piece))
        assert spent(arrived.id) is expected
    pair.do(pair.a, signals.Read("t", 113))
    assert spent(arrived.id) is False
    assert pair.b.all(signals.Credited) == [signals.Credited()]
    pair.do(pair.a, signals.Read("t", 5))
    assert len(pair.b.all(signals.Credited)) == 1, "nobody waits"
    pair.do(pair.b, signals.LastPiece(arrived.id))
    pair.do(pair.a, signals.Read("t", 5))
    assert not spent(arrived.id)
    assert len(pair.a.all(signals.Streamed)) == 3


def test_one_that_knows_no_windows_is_told_of_none() -> None:
    """Frame 12 would be garbage to it."""
    pair = Pair()
    pair.a.machine.peer = replace(pair.a.machine.peer, version=1)  # type: ignore[type-var]
    pair.do(pair.a, signals.Call("t", "watch", b"", 1.0, window=1000))
    (arrived,) = pair.b.all(signals.Arrived)
    pair.do(pair.b, signals.Piece(arrived.id, bytes(5000)))
    assert not pair.b.machine.is_spent(arrived.id)
    before = len(pair.a.written)
    pair.do(pair.a, signals.Read("t", 5000))
    assert len(pair.a.written) == before


@pytest.mark.parametrize("size", [-5, 0, 1 << 70])
def test_a_credit_that_makes_no_sense(size: int) -> None:
    pair = Pair()
    pair.do(pair.a, signals.Call("t", "watch", b"", 1.0, window=10))
    (arrived,) = pair.b.all(signals.Arrived)
    pair.do(pair.b, signals.Piece(arrived.id, b"x"))
    if size < 1 << 63:
        pair.b.take(signals.Received(encode(frames.Credit(arrived.id, size)) + encode(frames.Credit(99, 7))), pair.now)
        assert pair.b.machine.is_spent(arrived.id)
        assert pair.b.closed is None
    else:
        with pytest.raises(OverflowError):
            encode(frames.Credit(arrived.id, size))


def test_a_request_that_nobody_waits_for_is_cancelled() -> None:
    pair = Pair()
    pair.do(pair.a, signals.Call("t", "m", b"", 1.0))
    pair.do(pair.a, signals.Abandon("t"))
    (arrived,) = pair.b.all(signals.Arrived)
    assert pair.b.all(signals.Cancelled) == [signals.Cancelled(arrived.id)]
    pair.do(pair.b, signals.Reply(arrived.id, b"late"))
    assert not pair.a.all(signals.Answered)


def test_an_answer_that_does_not_come_is_a_timeout_of_its_own_request_only() -> None:
    pair = Pair()
    pair.do(pair.a, signals.Call("long", "m", b"", 9.0))
    pair.do(pair.a, signals.Call("short", "m", b"", 2.0))
    pair.pass_time(pair.now + 3)
    (failed,) = pair.a.all(signals.Failed)
    assert (failed.token, type(failed.error)) == ("short", Timeout)
    assert len(pair.b.all(signals.Cancelled)) == 1
    pair.pass_time(pair.now + 7)
    assert [failed.token for failed in pair.a.all(signals.Failed)] == ["short", "long"]
    assert pair.a.closed is None


def test_raft_messages_pass_in_order() -> None:
    pair = Pair(cut=5)
    for number in range(10):
        pair.do(pair.a, signals.SendRaft(bytes([number]) * 9))
    assert [message.payload[0] for message in pair.b.all(signals.RaftArrived)] == list(range(10))


class TestBounds:
    def test_no_more_requests_than_allowed_leave(self) -> None:
        pair = Pair(settings=RpcSettings(max_in_flight=2))
        for token in range(3):
            pair.do(pair.a, signals.Call(token, "m", b"", 1.0))
        (failed,) = pair.a.all(signals.Failed)
        assert (failed.token, type(failed.error)) == (2, Unavailable)

    def test_no_more_requests_than_allowed_are_served(self) -> None:
        pair = Pair(settings=RpcSettings(max_in_flight_bytes=100))
        for token in range(3):
            pair.do(pair.a, signals.Call(token, "m", bytes(60), 1.0))
        assert len(pair.b.all(signals.Arrived)) == 1
        assert [failed.token for failed in pair.a.all(signals.Failed)] == [1, 2]
        pair.do(pair.b, signals.Reply(pair.b.all(signals.Arrived)[0].id, b""))
        pair.do(pair.a, signals.Call("later", "m", bytes(60), 1.0))
        assert len(pair.b.all(signals.Arrived)) == 2
        assert pair.b.closed is None

    def test_raft_messages_are_dropped_for_a_peer_that_does_not_read(self) -> None:
        pair = Pair()
        pair.do(pair.a, signals.Paused())
        assert not pair.a.machine.takes_raft
        pair.do(pair.a, signals.SendRaft(bytes(1000)))
        assert pair.a.machine.queued_bytes == 0
        pair.do(pair.a, signals.Resumed())
        pair.do(pair.a, signals.SendRaft(b"new"))
        assert [message.payload for message in pair.b.all(signals.RaftArrived)] == [b"new"]

    def test_what_must_not_be_lost_waits_and_then_leaves_in_order_and_in_bursts(self) -> None:
        pair = Pair()
        pair.do(pair.a, signals.Paused())
        for token in range(5):
            pair.do(pair.a, signals.Call(token, "m", bytes([token]) * 600_000, 1.0))
        assert not pair.b.all(signals.Arrived)
        pair.do(pair.a, signals.Resumed())
        assert [arrived.payload[0] for arrived in pair.b.all(signals.Arrived)] == [0, 1]
        while pair.a.machine.queued_bytes:
            assert not pair.a.machine.takes_raft
            pair.do(pair.a, signals.Resumed())
        assert [arrived.payload[0] for arrived in pair.b.all(signals.Arrived)] == list(range(5))

    def test_a_peer_that_never_reads_is_closed_before_it_costs_more(self) -> None:
        pair = Pair(settings=RpcSettings(max_queued_bytes=10_000))
        pair.do(pair.a, signals.Paused())
        for token in range(200):
            pair.a.take(signals.Call(token, "m", bytes(1000), 1.0), pair.now)
            assert pair.a.machine.queued_bytes <= 10_000
        assert pair.a.closed == (Reason.SLOW, False)
        assert len(pair.a.all(signals.Failed)) == 200

    def test_a_flood_of_pings_is_bounded_too(self) -> None:
        pair = Pair(settings=RpcSettings(max_queued_bytes=1000))
        pair.do(pair.b, signals.Paused())
        pair.do(pair.b, signals.Received(encode(frames.Ping(1)) * 1000))
        assert pair.b.closed == (Reason.SLOW, False)

    def test_an_answer_that_is_too_large_is_an_error_not_the_end(self) -> None:
        pair = Pair()
        pair.do(pair.a, signals.Call("t", "m", b"", 1.0))
        pair.do(pair.b, signals.Reply(pair.b.all(signals.Arrived)[0].id, bytes(frames.MAX_FRAME_BYTES)))
        assert type(pair.a.all(signals.Failed)[0].error) is TooLarge
        pair.do(pair.a, signals.Call("u", "m", bytes(frames.MAX_FRAME_BYTES), 1.0))
        assert type(pair.a.all(signals.Failed)[1].error) is TooLarge
        assert pair.a.closed is pair.b.closed is None


class TestLife:
    def test_nobody_is_pinged_while_frames_come(self) -> None:
        pair = Pair()
        for _ in range(20):
            pair.pass_time(pair.now + 1)
            pair.do(pair.a, signals.SendRaft(b"beat"))
            pair.do(pair.b, signals.SendRaft(b"beat"))
        assert not pair.a.written
        assert pair.a.closed is pair.b.closed is None

    def test_silence_is_broken_by_pings(self) -> None:
        pair = Pair()
        pair.pass_time(pair.now + 3600)
        assert pair.a.closed is pair.b.closed is None

    def test_a_half_open_connection_is_noticed(self) -> None:
        pair = Pair()
        pair.do(pair.a, signals.Call("t", "m", b"", 60.0))
        pair.b.machine.closed = True  # it is gone, and nobody told us
        pair.pass_time(pair.now + RpcSettings().ping_after_s + RpcSettings().ping_timeout_s)
        assert pair.a.closed == (Reason.SILENT, False)
        assert type(pair.a.all(signals.Failed)[0].error) is Unavailable

    def test_a_pause_of_our_own_process_is_not_the_peers_fault(self) -> None:
        """SIGSTOP for an hour: the timer fires late, and what the peer sent meanwhile is read only after."""
        pair = Pair()
        late = pair.now + 3600
        pair.a.take(TimerFired("alive"), late)
        assert pair.a.closed is None
        pair.now = late
        pair.run()
        assert pair.a.closed is None
        assert pair.a.timers["alive"] <= late + RpcSettings().ping_timeout_s

    @pytest.mark.parametrize("dialled", [True, False])
    def test_a_hello_that_does_not_come(self, dialled: bool) -> None:
        end = End(Connection(ALICE, RpcSettings(), dialled=dialled))
        end.take(signals.Opened(), 0)
        assert end.timers["handshake"] == RpcSettings().handshake_timeout_s
        end.take(TimerFired("handshake"), 5)
        assert end.closed == (Reason.HANDSHAKE_TIMEOUT, False)

    def test_stopping_says_so_and_ends_what_is_open(self) -> None:
        pair = Pair()
        pair.do(pair.a, signals.Call("t", "m", b"", 60.0))
        pair.do(pair.b, signals.Stop(Reason.STOPPING, "maintenance"))
        assert pair.a.closed == (Reason.STOPPING, True)
        assert pair.b.closed == (Reason.STOPPING, False)
        assert len(pair.b.all(signals.Cancelled)) == 1
        assert pair.a.all(signals.Failed)[0].token == "t"

    def test_a_closed_connection_refuses_requests(self) -> None:
        pair = Pair()
        pair.do(pair.a, signals.Lost("reset"))
        assert pair.a.closed == (Reason.LOST, False)
        pair.do(pair.a, signals.Call("t", "m", b"", 1.0))
        assert type(pair.a.all(signals.Failed)[0].error) is Unavailable
        assert pair.a.machine.handle(TimerFired("alive"), 1e9) == []


class TestRefused:
    @pytest.mark.parametrize(
        ("other", "options", "reason"),
        [
            (Identity("id-b", "bob", "dc1", "c2"), {}, Reason.WRONG_CLUSTER),
            (Identity("id-b", "bob", "dc2", "c1"), {}, Reason.WRONG_DATACENTER),
            (Identity("id-a", "alice", "dc1", "c1"), {}, Reason.WRONG_NODE),
            (BOB, {"expected_node_id": "id-z"}, Reason.WRONG_NODE),
            (BOB, {"names": frozenset({"bob.dc1.consul"})}, Reason.NOT_A_SERVER),
        ],
    )
    def test_by_the_dialler(self, other: Identity, options: dict[str, Any], reason: Reason) -> None:
        pair = Pair(listener=other, dialler_options=options)
        if reason in {Reason.WRONG_NODE, Reason.NOT_A_SERVER} and other is BOB:
            assert pair.a.closed == (reason, False)
            assert pair.b.closed == (reason, True)
        else:
            assert pair.b.closed == (reason, False)
            assert pair.a.closed == (reason, True)
        assert not pair.a.all(signals.Accepted)

    def test_by_the_listener_for_its_certificate(self) -> None:
        pair = Pair(listener_options={"names": frozenset({"alice.dc1.consul"})})
        assert pair.b.closed == (Reason.NOT_A_SERVER, False)
        assert pair.a.closed == (Reason.NOT_A_SERVER, True)
        assert "server.dc1.consul" in pair.a.all(signals.Close)[0].detail

    def test_a_server_without_a_cluster_is_welcome(self) -> None:
        pair = Pair(dialler=Identity("id-a", "alice", "dc1", ""))
        assert pair.a.all(signals.Accepted)[0].peer.cluster_id == "c1"
        assert pair.b.all(signals.Accepted)[0].peer.cluster_id == ""

    def test_a_future_protocol_version(self) -> None:
        listener = End(Connection(BOB, RpcSettings(), dialled=False))
        listener.take(signals.Opened(), 0)
        listener.take(
            signals.Received(PREFACE + encode(frames.Hello(NEWEST + 1, NEWEST + 2, "c1", "dc1", "x", "x", SERVER, 1))),
            0,
        )
        assert listener.closed == (Reason.VERSION, False)
        (goodbye,) = FrameReader().feed(bytes(listener.written))
        assert goodbye == frames.Goodbye("version", listener.all(signals.Close)[0].detail)

    def test_a_newer_peer_that_still_speaks_ours(self) -> None:
        listener = End(Connection(BOB, RpcSettings(), dialled=False))
        listener.take(signals.Opened(), 0)
        listener.take(signals.Received(PREFACE + encode(frames.Hello(1, 9, "c1", "dc1", "x", "x", SERVER, 1))), 0)
        assert listener.all(signals.Accepted)[0].peer.version == NEWEST

    @pytest.mark.parametrize(
        "data",
        [
            b"GET / HTTP/1.1\r\n\r\n",
            PREFACE + encode(frames.Ping(1)),
            PREFACE + struct.pack(">I", frames.MAX_HELLO_BYTES + 1),
            PREFACE + encode(frames.Hello(1, 1, "", "dc1", "", "", SERVER, 1)),
            PREFACE + encode(frames.Hello(1, 1, "", "dc1", "x", "x", "king", 1)),
            PREFACE + encode(frames.Hello(1, 1, "", "dc1", "x" * 300, "x", SERVER, 1)),
        ],
    )
    def test_garbage_before_the_hello(self, data: bytes) -> None:
        listener = End(Connection(BOB, RpcSettings(), dialled=False))
        listener.take(signals.Opened(), 0)
        listener.take(signals.Received(data), 0)
        assert listener.closed == (Reason.GARBAGE, False)

    @pytest.mark.parametrize(
        "data",
        [
            b"\xff" * 64,
            struct.pack(">I", frames.MAX_FRAME_BYTES + 1),
            encode(ALICE.hello(8)),
            encode(frames.Request(1, "m", 1, b"")) * 2,
        ],
    )
    def test_garbage_after_the_hello(self, data: bytes) -> None:
        pair = Pair()
        pair.do(pair.b, signals.Received(data))
        assert pair.b.closed == (Reason.GARBAGE, False)
        assert pair.a.closed == (Reason.GARBAGE, True)

    def test_a_client_sends_no_raft_messages_and_no_large_frames(self) -> None:
        client = Identity("id-a", "alice", "dc1", "c1", CLIENT)
        pair = Pair(dialler=client)
        pair.do(pair.b, signals.Received(encode(frames.RaftMessage(b"x"))))
        assert pair.b.closed == (Reason.NOT_A_SERVER, False)
        pair = Pair(dialler=client)
        pair.do(pair.b, signals.Received(struct.pack(">I", frames.MAX_CLIENT_FRAME_BYTES + 1)))
        assert pair.b.closed == (Reason.GARBAGE, False)

    def test_late_answers_and_unknown_ids_are_ignored(self) -> None:
        pair = Pair()
        stray = (
            frames.Response(9, b""),
            frames.Error(9, 1, "x"),
            frames.StreamData(9, b""),
            frames.StreamEnd(9),
            frames.Cancel(9),
            frames.Pong(9),
        )
        pair.do(pair.b, signals.Received(b"".join(map(encode, stray))))
        assert pair.b.closed is None

    def test_a_goodbye_with_a_word_of_the_future(self) -> None:
        pair = Pair()
        pair.do(pair.a, signals.Received(encode(frames.Goodbye("mercury_retrograde", "sorry"))))
        assert pair.a.closed == (Reason.LOST, True)


@given(st.binary(max_size=200), st.booleans())
def test_no_bytes_raise(data: bytes, greeted: bool) -> None:
    end = End(Connection(BOB, RpcSettings(), dialled=False))
    end.take(signals.Opened(), 0)
    if greeted:
        end.take(signals.Received(PREFACE + encode(ALICE.hello(1))), 0)
    end.take(signals.Received(data), 0)
    if end.closed:
        assert end.closed[0] in set(Reason)


@given(st.integers(0, 2**32), st.integers(1, 40))
def test_whatever_is_asked_each_request_ends_exactly_once(seed: int, cut: int) -> None:
    """Random requests, answers, cancels, pauses and time in both directions, over a wire that cuts anywhere."""
    rng = random.Random(seed)
    pair = Pair(cut=cut, settings=RpcSettings(max_in_flight=8, max_queued_bytes=500))
    asked: list[tuple[End, int]] = []
    cancelled: set[tuple[int, int]] = set()
    for token in range(60):
        end, other = rng.sample([pair.a, pair.b], 2)
        action = rng.randrange(7)
        if action <= 2:
            asked.append((end, token))
            pair.do(end, signals.Call(token, "m", bytes(rng.randrange(60)), rng.uniform(0.1, 20)))
        elif action == 3 and (arrived := end.all(signals.Arrived)):
            pair.do(end, signals.Reply(rng.choice(arrived).id, b"answer"))
        elif action == 4:
            mine = [number for owner, number in asked if owner is end]
            if mine and not _ended(end, chosen := rng.choice(mine)):
                cancelled.add((id(end), chosen))
                pair.do(end, signals.Abandon(chosen))
        elif action == 5:
            pair.do(end, rng.choice([signals.Paused(), signals.Resumed()]))
        else:
            pair.pass_time(pair.now + rng.uniform(0, 4))
        assert other.machine.queued_bytes <= 500
    for end in (pair.a, pair.b):
        pair.do(end, signals.Stop(Reason.STOPPING))
    for end, token in asked:
        assert _ended(end, token) == (0 if (id(end), token) in cancelled else 1)


def _ended(end: End, token: Any) -> int:
    return sum(isinstance(said, (signals.Answered, signals.Failed)) and said.token == token for said in end.said)
