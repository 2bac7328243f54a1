"""gRPC over HTTP/2, both sides against each other; tests/interop has grpcio for the other side."""

from __future__ import annotations

import gzip

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from meshagent.agent.grpc import connection as grpc
from meshagent.agent.grpc.connection import Called, Closed, Event, Finished, GrpcConnection, Received

METHOD = "/a.B/C"


class Wire:
    """A caller and a called side; `run` carries bytes until nothing moves."""

    def __init__(self, max_message: int = 1 << 20) -> None:
        self.caller = GrpcConnection(dials=True, max_message=max_message)
        self.called = GrpcConnection(dials=False, max_message=max_message)
        self.at_caller: list[Event] = []
        self.at_called: list[Event] = []

    def run(self, cut: int = 1 << 20) -> None:
        while True:
            there, here = self.caller.output(), self.called.output()
            if not there and not here:
                return
            for at in range(0, len(there), cut):
                self.at_called += self.called.received(there[at : at + cut])
            for at in range(0, len(here), cut):
                self.at_caller += self.caller.received(here[at : at + cut])


def messages(events: list[Event]) -> list[bytes]:
    return [event.message for event in events if isinstance(event, Received)]


def test_a_call_with_an_answer() -> None:
    wire = Wire()
    call = wire.caller.call(METHOD, "server")
    wire.caller.send(call, b"question")
    wire.caller.end(call)
    wire.run()
    assert wire.at_called == [Called(call, METHOD), Received(call, b"question"), Finished(call, 0, "")]
    wire.called.send(call, b"answer")
    wire.called.finish(call)
    wire.run()
    assert wire.at_caller == [Received(call, b"answer"), Finished(call, 0, "")]


def test_an_error_has_its_words() -> None:
    wire = Wire()
    call = wire.caller.call(METHOD, "server")
    wire.run()
    wire.called.finish(call, grpc.PERMISSION_DENIED, "wrong secret: 100 % ä\n")
    wire.run()
    assert wire.at_caller == [Finished(call, 7, "wrong secret: 100 % ä\n")]


@given(st.lists(st.binary(max_size=200_000), max_size=4), st.integers(1000, 100_000))
@settings(max_examples=30, deadline=None)
def test_messages_arrive_whole_and_in_order(sent: list[bytes], cut: int) -> None:
    wire = Wire()
    call = wire.caller.call(METHOD, "server")
    for message in sent:
        wire.caller.send(call, message)
        wire.called.received(b"")
    wire.run(cut)
    for message in sent:
        wire.called.send(call, message)
    wire.run(cut)
    assert messages(wire.at_called) == messages(wire.at_caller) == sent


def test_what_the_other_side_does_not_take_waits() -> None:
    caller, called = GrpcConnection(dials=True, max_message=1 << 22), GrpcConnection(dials=False, max_message=1 << 22)
    called.received(caller.output())
    caller.received(called.output())
    call = caller.call(METHOD, "server")
    caller.send(call, bytes(3 * grpc.WINDOW))
    assert caller.unsent(call) > grpc.WINDOW
    got: list[Event] = []
    while data := caller.output():
        got += called.received(data)
        caller.received(called.output())
    assert caller.unsent(call) == 0
    assert [len(message) for message in messages(got)] == [3 * grpc.WINDOW]


def test_a_message_that_is_too_long_is_refused_before_it_is_held() -> None:
    wire = Wire(max_message=1000)
    call = wire.caller.call(METHOD, "server")
    wire.caller.send(call, bytes(1001))
    wire.run()
    assert messages(wire.at_called) == []
    (ended,) = [event for event in wire.at_caller if isinstance(event, Finished)]
    assert (ended.code, ended.text) == (8, "a message of 1001 bytes; at most 1000 are taken")


def framed(flag: int, body: bytes) -> bytes:
    return bytes([flag]) + len(body).to_bytes(4, "big") + body


def compressed(wire: Wire, flag: int, body: bytes, encoding: str = "gzip") -> list[Event]:
    """What the called side makes of a message with that flag."""
    call = wire.caller.call(METHOD, "server", [("grpc-encoding", encoding)] if encoding else [])
    wire.run()
    wire.caller._h2.send_data(call, framed(flag, body))
    wire.run()
    return wire.at_called[1:]


def test_a_caller_may_compress() -> None:
    (received,) = compressed(Wire(), 1, gzip.compress(b"x" * 5000, mtime=0))
    assert isinstance(received, Received)
    assert received.message == b"x" * 5000
    (received,) = compressed(Wire(), 0, b"plain all the same")
    assert isinstance(received, Received)


@pytest.mark.parametrize(
    ("flag", "body", "encoding", "code"),
    [
        (1, gzip.compress(bytes(20_000), mtime=0), "gzip", 8),
        (1, gzip.compress(b"cut", mtime=0)[:-3], "gzip", 8),
        (1, b"none of it", "gzip", 8),
        (1, gzip.compress(b"x", mtime=0), "", 12),
        (1, b"x", "br", 12),
        (2, b"x", "gzip", 12),
    ],
    ids=["too long", "cut", "no gzip", "not announced", "of another kind", "of no kind"],
)
def test_what_cannot_be_unpacked_is_refused(flag: int, body: bytes, encoding: str, code: int) -> None:
    (ended,) = compressed(Wire(max_message=10_000), flag, body, encoding)
    assert isinstance(ended, Finished)
    assert ended.code == code


def test_metadata_arrives_with_the_call() -> None:
    wire = Wire()
    wire.caller.call(METHOD, "server", [("x-consul-token", "secret")])
    wire.run()
    (called,) = wire.at_called
    assert isinstance(called, Called)
    assert called.metadata["x-consul-token"] == "secret"
    assert called.metadata["content-type"] == "application/grpc"


def test_a_method_has_its_own_limit() -> None:
    wire = Wire()
    wire.called = GrpcConnection(dials=False, max_message=10, limit_of=lambda method: 100 if method == METHOD else 5)
    call = wire.caller.call(METHOD, "server")
    wire.caller.send(call, bytes(90))
    wire.run()
    assert messages(wire.at_called) == [bytes(90)]
    wire.called.allow(call, 1000)
    wire.caller.send(call, bytes(900))
    wire.run()
    assert messages(wire.at_called) == [bytes(90), bytes(900)]


def test_a_caller_that_leaves_is_told_of_as_unavailable() -> None:
    wire = Wire()
    call = wire.caller.call(METHOD, "server")
    wire.run()
    wire.caller.cancel(call)
    wire.run()
    assert isinstance(wire.at_called[-1], Finished)
    assert not wire.called.is_open(call)
    assert not wire.caller.is_open(call)
    wire.caller.cancel(call)


def test_a_ping_is_answered() -> None:
    wire = Wire()
    wire.run()
    wire.called.ping()
    data = wire.called.output()
    assert data
    assert wire.caller.received(data) == []
    assert wire.caller.output(), "the library answers it"


def test_calls_at_one_time_are_bounded() -> None:
    wire = Wire()
    wire.run()
    assert wire.caller._h2.remote_settings.max_concurrent_streams == grpc.MAX_CALLS


def test_goodbye() -> None:
    wire = Wire()
    wire.caller.call(METHOD, "server")
    wire.run()
    wire.called.close()
    wire.run()
    assert [type(event) for event in wire.at_caller] == [Closed]
    assert wire.caller.received(b"more") == []


@given(st.binary(max_size=300), st.booleans(), st.booleans())
@settings(deadline=None)
def test_any_bytes_end_a_connection_or_wait_for_more(data: bytes, dials: bool, after_start: bool) -> None:
    connection = GrpcConnection(dials=dials, max_message=1000)
    if after_start:
        connection.received(GrpcConnection(dials=not dials, max_message=1).output())
    events = connection.received(data)
    assert all(isinstance(event, (Closed, Finished)) for event in events) or not events
    connection.output()


def test_messages_that_never_end_are_bounded_together() -> None:
    caller, called = (
        GrpcConnection(dials=True, max_message=1),
        GrpcConnection(dials=False, max_message=grpc.MAX_PARTIAL),
    )
    got: list[Event] = []
    for _ in range(5):
        call = caller.call(METHOD, "server")
        caller.send(call, bytes(grpc.MAX_PARTIAL))
        held = caller._calls[call]
        held.unsent[-1] = held.unsent[-1][:-1]
        while data := caller.output():
            got += called.received(data)
            caller.received(called.output())
    ended = [event for event in got if isinstance(event, Finished)]
    assert [event.code for event in ended] == [grpc.RESOURCE_EXHAUSTED] * 4, "the first is waited for"
    assert sum(len(one.partial) for one in called._calls.values()) <= 2 * grpc.MAX_PARTIAL + grpc.WINDOW


def test_calls_that_are_taken_back_at_once_end_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpc, "MAX_TAKEN_BACK", 20)
    monkeypatch.setattr(grpc, "_SLICE", 256)
    wire = Wire()
    for _ in range(15):
        for _ in range(2):  # who answers is not flooded
            call = wire.caller.call(METHOD, "server")
            wire.run()
            wire.called.finish(call)
            wire.run()
        wire.caller.cancel(wire.caller.call(METHOD, "server"))
        wire.run()
    assert not any(isinstance(event, Closed) for event in wire.at_called)
    before = len(wire.at_called)
    for _ in range(200):
        wire.caller.cancel(wire.caller.call(METHOD, "server"))
    wire.run()
    assert wire.at_called[-1] == Closed("too many calls were taken back")
    assert len(wire.at_called) - before < 100, "the rest is not worked through"
    assert any(isinstance(event, Closed) and "11" in event.reason for event in wire.at_caller)


def test_a_call_that_is_given_up_with_its_first_bytes_takes_no_other_with_it() -> None:
    wire = Wire()
    kept = wire.caller.call(METHOD, "server")
    wire.run()
    wire.caller.cancel(wire.caller.call(METHOD, "server"))
    wire.caller.send(kept, b"still here")
    wire.run()
    assert wire.at_called == [Called(kept, METHOD), Received(kept, b"still here")]
