"""gRPC as values, and what an exchange makes of it: deadlines, outcomes, retries, its own answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meshtest.http7 import World, request

from meshagent.connect.proxy.http import grpc
from meshagent.connect.proxy.http.hooks import RESET, TIMED_OUT
from meshagent.connect.proxy.http.messages import RequestHead, ResponseHead
from meshagent.connect.proxy.http.policy import Fault, RetryPolicy
from meshagent.connect.proxy.http.streams import Reset


def call(*headers: tuple[bytes, bytes], version: int = 20) -> RequestHead:
    head = request(b"/echo.Echo/Say", b"POST", [(b"content-type", b"application/grpc"), (b"te", b"trailers"), *headers])
    head.version = version
    return head


@pytest.mark.parametrize(
    ("kind", "grpc_too"),
    [
        (b"application/grpc", True),
        (b"application/grpc+proto", True),
        (b"application/grpc;charset=x", True),
        (b"application/grpc-web", False),
        (b"application/json", False),
    ],
)
def test_what_is_grpc(kind: bytes, grpc_too: bool) -> None:
    assert grpc.is_grpc(request(headers=[(b"x", b"y"), (b"content-type", kind)])) is grpc_too
    assert not grpc.is_grpc(request())


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"1500m", 1.5),
        (b"2S", 2.0),
        (b"1M", 60.0),
        (b"1H", 3600.0),
        (b"5u", 5e-6),
        (b"100n", 1e-7),
        (b"0m", 0.0),
        (b"123456789S", None),
        (b"-1S", None),
        (b"1.5S", None),
        (b"S", None),
        (b"10", None),
        (b"10s", None),
        (b"", None),
        ("²S".encode(), None),
    ],
)
def test_deadlines(value: bytes, seconds: float | None) -> None:
    assert grpc.deadline_s([(b"grpc-timeout", value)]) == (None if seconds is None else pytest.approx(seconds))


@given(st.binary(max_size=12))
def test_any_deadline_is_read(value: bytes) -> None:
    left = grpc.deadline_s([(b"grpc-timeout", value)])
    assert left is None or 0 <= left < 1e12


@given(st.binary(max_size=6))
def test_any_status_is_read(value: bytes) -> None:
    status = grpc.status_of([(b"grpc-status", value)])
    assert 0 <= status < 1000
    assert 200 <= grpc.outcome(status) < 600


@pytest.mark.parametrize(
    ("status", "counts_as"), [(0, 200), (1, 499), (4, 504), (5, 404), (13, 500), (14, 503), (99, 500)]
)
def test_what_a_status_counts_as(status: int, counts_as: int) -> None:
    assert grpc.outcome(status) == counts_as


def test_no_status_is_none() -> None:
    assert grpc.status_of([]) == -1


def test_messages_are_percent_encoded() -> None:
    assert grpc.message("50 % é\n".encode()) == b"50 %25 %C3%A9%0A"


class TestOutcomes:
    @pytest.mark.parametrize(("status", "outcome"), [(b"0", 200), (b"14", 503), (b"5", 404)])
    def test_trailers_tell(self, status: bytes, outcome: int) -> None:
        world = World()
        client = world.ask(call())
        handler = world.requests[0].handler
        handler.on_head(ResponseHead(200, []), False)
        assert world.api.results == []
        handler.on_data(b"hello", False)
        handler.on_trailers([(b"grpc-status", status)])
        assert world.api.results == [("api-0", outcome)]
        assert client.trailers == [(b"grpc-status", status)]
        assert world.settled()

    def test_a_head_that_is_trailers_only_tells(self) -> None:
        world = World()
        world.ask(call())
        world.requests[0].handler.on_head(ResponseHead(200, [(b"grpc-status", b"14")]), True)
        assert world.api.results == [("api-0", 503)]

    def test_a_status_of_http_tells_at_once(self) -> None:
        world = World()
        world.ask(call())
        world.requests[0].handler.on_head(ResponseHead(502, []), False)
        assert world.api.results == [("api-0", 502)]
        world.requests[0].handler.on_data(b"x", True)
        assert world.api.results == [("api-0", 502)]

    def test_no_status_is_unknown(self) -> None:
        world = World()
        world.ask(call())
        world.requests[0].handler.on_head(ResponseHead(200, []), False)
        world.requests[0].handler.on_data(b"hello", True)
        assert world.api.results == [("api-0", 500)]

    def test_a_reset_in_the_middle_is_one(self) -> None:
        world = World()
        client = world.ask(call())
        world.requests[0].handler.on_head(ResponseHead(200, []), False)
        world.requests[0].handler.on_reset(Reset.REMOTE)
        assert world.api.results == [("api-0", RESET)]
        assert client.was_reset is Reset.REMOTE

    def test_others_are_told_by_their_head(self) -> None:
        world = World()
        world.ask(call(version=11))
        world.requests[0].handler.on_head(ResponseHead(200, []), False)
        assert world.api.results == [("api-0", 200)]


class TestDeadline:
    def test_it_ends_the_call(self) -> None:
        world = World()
        client = world.ask(call((b"grpc-timeout", b"500m")))
        world.pass_time(0.4)
        assert not client.ended
        world.pass_time(0.3)
        assert client.status == 200
        assert client.head is not None
        assert (b"grpc-status", b"4") in client.head.headers
        assert world.requests[0].was_reset is Reset.TIMEOUT
        assert world.api.results == [("api-0", TIMED_OUT)]
        assert world.finished == [(504, "DT")]
        assert world.settled()

    def test_an_answer_in_time_ends_it(self) -> None:
        world = World()
        client = world.ask(call((b"grpc-timeout", b"500m")))
        world.requests[0].handler.on_head(ResponseHead(200, [(b"grpc-status", b"0")]), True)
        world.pass_time(1.0)
        assert client.was_reset is None
        assert not world.timers.pending or world.settled()

    def test_an_answer_that_has_begun_is_cut(self) -> None:
        world = World()
        client = world.ask(call((b"grpc-timeout", b"500m")))
        world.requests[0].handler.on_head(ResponseHead(200, []), False)
        world.pass_time(1.0)
        assert client.was_reset is Reset.LOCAL
        assert world.settled()


class TestOwnAnswers:
    def test_an_abort_is_in_the_words_of_grpc(self) -> None:
        world = World()
        world.route(fault=Fault(abort_status=503, abort_percent=100.0))
        client = world.ask(call())
        assert client.status == 200
        assert client.ended
        assert client.head is not None
        assert (b"grpc-status", b"14") in client.head.headers
        assert (b"grpc-message", b"fault filter abort") in client.head.headers
        assert world.finished == [(503, "FI")]


class TestRetries:
    @pytest.mark.parametrize(
        ("condition", "status"),
        [
            ("cancelled", b"1"),
            ("deadline-exceeded", b"4"),
            ("resource-exhausted", b"8"),
            ("internal", b"13"),
            ("unavailable", b"14"),
        ],
    )
    def test_trailers_only_with_that_status(self, condition: str, status: bytes) -> None:
        world = World(hosts=2)
        world.route(retry=RetryPolicy(num_retries=1, conditions=frozenset({condition})))
        client = world.ask(call())
        world.requests[0].handler.on_head(ResponseHead(200, [(b"grpc-status", status)]), True)
        world.pass_time(1.0)
        assert [one.host for one in world.requests] == ["api-0", "api-1"]
        world.requests[1].handler.on_head(ResponseHead(200, [(b"grpc-status", b"0")]), True)
        assert client.head is not None
        assert (b"grpc-status", b"0") in client.head.headers

    def test_not_another_one(self) -> None:
        world = World(hosts=2)
        world.route(retry=RetryPolicy(num_retries=1, conditions=frozenset({"unavailable"})))
        world.ask(call())
        world.requests[0].handler.on_head(ResponseHead(200, [(b"grpc-status", b"5")]), True)
        world.pass_time(1.0)
        assert len(world.requests) == 1

    def test_what_nobody_has_looked_at_is_tried_again_unasked(self) -> None:
        world = World()
        client = world.ask(call(), end=False)
        client.handler.on_data(b"hello", True)
        for at in range(2):
            world.requests[at].handler.on_reset(Reset.REFUSED)
        assert [one.body for one in world.requests] == [b"hello"] * 3
        world.requests[2].handler.on_reset(Reset.REFUSED)
        assert client.head is not None
        assert (b"grpc-status", b"14") in client.head.headers
        assert len(world.requests) == 3
        assert world.settled()
