"""One request through the filter chain: answers, retries, timeouts, faults, mirrors, and that all is given back."""

from __future__ import annotations

import pytest
from meshtest.http7 import Client, FakeCluster, World, request

from meshagent.connect.proxy.http.exchange import BUFFER_BYTES, Exchange
from meshagent.connect.proxy.http.hooks import LocalReply
from meshagent.connect.proxy.http.messages import ResponseHead
from meshagent.connect.proxy.http.policy import Destination, Fault, HeaderEdits, Mirror, RetryPolicy
from meshagent.connect.proxy.http.streams import Reset


def test_an_answer_goes_back() -> None:
    world = World()
    client = world.ask(request(b"/a?b=1", headers=[(b"accept", b"*/*")]))
    (sent,) = world.requests
    assert (sent.head.path, sent.head.headers, sent.ended) == (b"/a?b=1", [(b"accept", b"*/*")], True)
    sent.answer(200, b"hello", [(b"content-length", b"5")])
    assert (client.status, client.body, client.ended) == (200, b"hello", True)
    assert world.finished == [(200, "")]
    assert world.api.results == [("api-0", 200)]
    assert world.settled()


def test_bodies_stream_both_ways_with_trailers() -> None:
    world = World()
    client = world.ask(request(method=b"POST"), end=False)
    (sent,) = world.requests
    client.handler.on_data(b"one", False)
    assert sent.body == b"one"
    sent.handler.on_head(ResponseHead(200, []), False)
    sent.handler.on_data(b"early", False)
    assert client.body == b"early"
    client.handler.on_data(b"two", False)
    client.handler.on_trailers([(b"sum", b"1")])
    assert (sent.body, sent.trailers) == (b"onetwo", [(b"sum", b"1")])
    sent.handler.on_trailers([(b"grpc-status", b"0")])
    assert (client.trailers, client.ended) == ([(b"grpc-status", b"0")], True)
    assert world.settled()


def test_what_one_side_does_not_take_stops_the_other() -> None:
    world = World()
    client = world.ask(request(method=b"POST"), end=False)
    (sent,) = world.requests
    sent.handler.on_blocked()
    assert client.paused
    sent.handler.on_writable()
    assert not client.paused
    client.handler.on_blocked()
    assert sent.paused
    client.handler.on_writable()
    assert not sent.paused


def test_a_body_waits_for_its_connection_within_bounds() -> None:
    world = World()
    world.api.pools[0].connected = False
    client = world.ask(request(method=b"POST"), end=False)
    client.handler.on_data(b"x" * BUFFER_BYTES, False)
    assert not client.paused
    client.handler.on_data(b"y", False)
    assert client.paused
    world.api.pools[0].connect()
    assert not client.paused
    assert world.requests[0].body == b"x" * BUFFER_BYTES + b"y"
    client.handler.on_data(b"", True)
    world.requests[0].answer(204)
    assert client.status == 204
    assert world.settled()


@pytest.mark.parametrize(
    ("hosts", "limit", "status", "body", "flag"),
    [(0, 10, 503, b"no healthy upstream", "UH"), (1, 0, 503, b"reset reason: overflow", "UO")],
)
def test_nowhere_to_go(hosts: int, limit: int, status: int, body: bytes, flag: str) -> None:
    world = World(hosts)
    world.api.breaker.limit = limit
    client = world.ask()
    assert client.status == status
    assert client.body.endswith(body)
    assert world.finished == [(status, flag)]
    assert world.settled()


def test_without_a_route() -> None:
    world = World()
    world.manager.routes.route = None  # type: ignore[attr-defined]
    assert world.ask().status == 404
    assert world.finished == [(404, "NR")]


def test_a_filter_answers() -> None:
    world = World()

    def refuse(exchange: Exchange) -> LocalReply | None:
        return LocalReply(403, b"RBAC: access denied") if exchange.head.path == b"/admin" else None

    world.manager.filters = (refuse,)
    assert world.ask(request(b"/admin")).body == b"RBAC: access denied"
    assert not world.requests
    world.ask(request(b"/"))
    assert len(world.requests) == 1


def test_grpc_is_answered_in_its_words() -> None:
    world = World(hosts=0)
    client = world.ask(request(method=b"POST", headers=[(b"content-type", b"application/grpc+proto")]))
    assert client.head is not None
    assert client.status == 200
    assert (b"grpc-status", b"14") in client.head.headers
    assert (b"grpc-message", b"no healthy upstream") in client.head.headers
    assert client.ended


class TestRetries:
    def test_another_instance_is_asked_after_a_status(self) -> None:
        world = World(hosts=2)
        world.route(retry=RetryPolicy(2, statuses=frozenset({503})))
        client = world.ask(request(method=b"POST"), end=False)
        client.handler.on_data(b"body", True)
        world.requests[0].answer(503, b"busy")
        assert client.status == 0
        world.pass_time(1)
        assert [(one.host, one.body) for one in world.requests] == [("api-0", b"body"), ("api-1", b"body")]
        world.requests[1].answer(200, b"fine")
        assert (client.status, client.body) == (200, b"fine")
        assert world.api.results == [("api-0", 503), ("api-1", 200)]
        assert world.settled()

    def test_they_end(self) -> None:
        world = World()
        world.route(retry=RetryPolicy(2, frozenset({"5xx"})))
        client = world.ask()
        for _ in range(3):
            world.requests[-1].answer(500)
            world.pass_time(1)
        assert len(world.requests) == 3
        assert client.status == 500
        assert world.finished == [(500, "URX")]
        assert world.settled()

    def test_the_budget_holds(self) -> None:
        world = World()
        world.route(retry=RetryPolicy(5, frozenset({"5xx"})))
        world.api.breaker.retries = world.api.breaker.limit
        client = world.ask()
        world.requests[0].answer(500)
        assert client.status == 500

    def test_an_answer_that_began_is_not_replaced(self) -> None:
        world = World()
        world.route(retry=RetryPolicy(5, frozenset({"reset"})))
        client = world.ask()
        world.requests[0].handler.on_head(ResponseHead(200, []), False)
        world.requests[0].handler.on_reset(Reset.CONNECTION_LOST)
        assert client.was_reset is Reset.CONNECTION_LOST
        assert len(world.requests) == 1
        assert world.settled()

    def test_a_body_too_long_to_keep_is_not_sent_again(self) -> None:
        world = World()
        world.route(retry=RetryPolicy(5, frozenset({"5xx"})))
        client = world.ask(request(method=b"POST"), end=False)
        client.handler.on_data(b"x" * (BUFFER_BYTES + 1), True)
        world.requests[0].answer(500)
        assert client.status == 500

    def test_each_try_has_its_time(self) -> None:
        world = World(hosts=2)
        world.route(retry=RetryPolicy(1, frozenset({"5xx"}), per_try_timeout_s=1.0))
        client = world.ask()
        world.pass_time(1.5)
        assert world.requests[0].was_reset is Reset.TIMEOUT
        world.requests[1].answer(200)
        assert client.status == 200
        assert world.settled()

    def test_a_stale_connection_is_tried_again_once(self) -> None:
        world = World()
        client = world.ask()
        world.requests[0].handler.on_reset(Reset.STALE)
        world.requests[1].handler.on_reset(Reset.STALE)
        assert client.status == 503
        assert len(world.requests) == 2

    def test_a_post_is_never_sent_twice_unasked(self) -> None:
        world = World()
        client = world.ask(request(method=b"POST"))
        world.requests[0].handler.on_reset(Reset.STALE)
        assert client.status == 503
        assert client.body.endswith(b"connection termination")

    def test_an_instance_that_is_not_there_is_passed_over(self) -> None:
        world = World(hosts=2)
        world.api.pools[0].connected = False
        client = world.ask(request(method=b"POST"))
        world.api.pools[0].fail()
        world.requests[0].answer(200)
        assert client.status == 200
        assert world.settled()

    def test_no_instance_is_there(self) -> None:
        world = World()
        world.api.pools[0].connected = False
        client = world.ask()
        world.api.pools[0].fail()
        assert client.status == 503
        assert client.body.endswith(b"reset reason: remote connection failure")
        assert world.finished == [(503, "UF")]
        assert world.settled()


class TestTime:
    def test_a_request_has_its_time(self) -> None:
        world = World()
        world.route(timeout_s=2.0)
        client = world.ask()
        world.pass_time(1.9)
        assert client.status == 0
        world.pass_time(0.2)
        assert (client.status, client.body) == (504, b"upstream request timeout")
        assert world.requests[0].was_reset is Reset.TIMEOUT
        assert world.api.results == [("api-0", 2)]
        assert world.settled()

    def test_it_runs_from_the_end_of_the_request(self) -> None:
        world = World()
        world.route(timeout_s=2.0)
        client = world.ask(request(method=b"POST"), end=False)
        world.pass_time(3)
        client.handler.on_data(b"", True)
        world.pass_time(1)
        assert client.status == 0
        world.pass_time(2)
        assert client.status == 504

    def test_silence_ends_it(self) -> None:
        world = World()
        world.route(timeout_s=0.0, idle_timeout_s=5.0)
        client = world.ask()
        world.requests[0].handler.on_head(ResponseHead(200, []), False)
        for _ in range(4):
            world.pass_time(4)
            world.requests[0].handler.on_data(b".", False)
        assert client.was_reset is None
        world.pass_time(10)
        assert client.was_reset is not None
        assert world.settled()


class TestSlowBodies:
    def trickle(self, world: World, seconds: int, piece: bytes = b".", **head: object) -> Client:
        """A byte every second, as an upload that never ends."""
        asked = request(method=b"POST")
        for name, value in head.items():
            setattr(asked, name, value)
        client = world.ask(asked, end=False)
        for _ in range(seconds):
            world.pass_time(1)
            client.handler.on_data(piece, False)
        return client

    def test_a_body_that_trickles_is_ended(self) -> None:
        world = World()
        client = self.trickle(world, 59)
        assert client.status == 0
        client = self.trickle(world, 64)
        assert (client.status, client.body, client.unwanted) == (408, b"request timeout", True)
        assert world.finished[-1][0] == 408

    def test_one_that_keeps_the_rate_goes_on(self) -> None:
        world = World()
        client = self.trickle(world, 300, b"x" * 100)
        assert client.status == 0
        client.handler.on_data(b"", True)
        world.requests[0].handler.on_head(ResponseHead(200, []), True)
        assert client.status == 200

    def test_who_is_not_read_is_not_slow(self) -> None:
        world = World()
        client = world.ask(request(method=b"POST"), end=False)
        world.requests[0].handler.on_blocked()
        world.pass_time(200)
        assert (client.status, client.paused) == (0, True)
        world.requests[0].handler.on_writable()
        world.pass_time(50)
        assert client.status == 0
        world.pass_time(20)
        assert client.status == 408

    def test_who_waits_for_100_is_not_slow(self) -> None:
        world = World()
        asked = request(method=b"POST")
        asked.expects_continue = True
        client = world.ask(asked, end=False)
        world.pass_time(200)
        assert client.status == 0

    def test_what_streams_both_ways_takes_its_time(self) -> None:
        world = World()
        client = world.ask(request(method=b"POST"), end=False)
        world.requests[0].handler.on_head(ResponseHead(200, []), False)
        for _ in range(200):
            world.pass_time(1)
            client.handler.on_data(b".", False)
        assert client.was_reset is None
        upgrade = self.trickle(World(), 200, upgrade=b"websocket")
        assert upgrade.status == 0
        grpc = request(method=b"POST", headers=[(b"content-type", b"application/grpc")])
        grpc.version = 20
        other = World()
        stream = other.ask(grpc, end=False)
        for _ in range(200):
            other.pass_time(1)
            stream.handler.on_data(b".", False)
        assert stream.status == 0

    def test_without_a_rate_any_body_will_do(self) -> None:
        world = World()
        world.manager.min_body_rate = 0
        assert self.trickle(world, 200).status == 0


class TestFaults:
    def test_an_abort(self) -> None:
        world = World()
        world.route(fault=Fault(abort_status=418, abort_percent=100))
        client = world.ask()
        assert (client.status, client.body) == (418, b"fault filter abort")
        assert not world.requests

    def test_a_delay(self) -> None:
        world = World()
        world.route(fault=Fault(delay_s=1.0, delay_percent=100))
        client = world.ask()
        assert not world.requests
        world.pass_time(1.1)
        world.requests[0].answer(200)
        assert client.status == 200

    def test_a_client_that_leaves_meanwhile(self) -> None:
        world = World()
        world.route(fault=Fault(delay_s=1.0, delay_percent=100))
        world.ask().handler.on_reset(Reset.CONNECTION_LOST)
        world.pass_time(2)
        assert not world.requests
        assert world.finished == [(0, "DC")]

    def test_only_with_its_header(self) -> None:
        world = World()
        world.route(fault=Fault(abort_status=500, abort_percent=100, header=(b"x-fault", b"on")))
        world.ask()
        assert len(world.requests) == 1
        assert world.ask(request(headers=[(b"x-fault", b"on")])).status == 500

    def test_a_share(self) -> None:
        world = World()
        world.route(fault=Fault(abort_status=500, abort_percent=10))
        found = [world.ask().status for _ in range(500)]
        assert 20 < found.count(500) < 90


class TestDestinations:
    def test_shares(self) -> None:
        world = World()
        other = FakeCluster(world, "v2")
        world.route(splits=((0.9, Destination(world.api)), (1.0, Destination(other))))
        for _ in range(500):
            world.ask()
        got = [one.host for one in world.requests]
        assert 20 < got.count("v2-0") < 90

    def test_edits_and_rewrite(self) -> None:
        world = World()
        split = Destination(
            world.api,
            request=HeaderEdits(add=((b"x-split", b"1"),)),
            response=HeaderEdits(remove=frozenset({b"server"})),
        )
        world.route(
            splits=((1.0, split),),
            request=HeaderEdits(set=((b"host", b"other"), (b"x-a", b"2"))),
            rewrite=(b"/old", b"/new"),
        )
        client = world.ask(request(b"/old/x?y", headers=[(b"x-a", b"1")]))
        sent = world.requests[0]
        assert (sent.head.path, sent.head.authority) == (b"/new/x?y", b"other")
        assert sent.head.headers == [(b"x-split", b"1"), (b"x-a", b"2")]
        sent.answer(200, headers=[(b"server", b"secret"), (b"x", b"y")])
        assert client.head is not None
        assert client.head.headers == [(b"x", b"y")]

    def test_a_mirror_gets_a_copy_and_changes_nothing(self) -> None:
        world = World()
        other = FakeCluster(world, "v2")
        world.route(mirror=Mirror(other))
        client = world.ask(request(method=b"POST"), end=False)
        client.handler.on_data(b"body", True)
        copy, sent = world.requests
        assert (copy.host, copy.head.authority, copy.body, copy.ended) == ("v2-0", b"api-shadow", b"body", True)
        copy.answer(500)
        sent.answer(200)
        assert client.status == 200
        assert other.breaker.requests == 0
        assert world.settled()


def test_a_client_that_leaves_ends_the_try() -> None:
    world = World()
    client = world.ask()
    client.handler.on_reset(Reset.CONNECTION_LOST)
    assert world.requests[0].was_reset is Reset.LOCAL
    assert world.finished == [(0, "DC")]
    assert world.settled()


def test_informational_heads_pass() -> None:
    world = World()
    client = world.ask()
    world.requests[0].handler.on_informational(ResponseHead(103, [(b"link", b"x")]))
    assert [one.status for one in client.informational] == [103]
