from __future__ import annotations

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import RequestReceived, StreamReset
from h2.settings import SettingCodes, Settings
from meshtest.h2pair import Answer, Pair, Pipe, head
from meshtest.http7 import Now

from meshagent.connect.proxy.http.messages import RequestHead, ResponseHead
from meshagent.connect.proxy.http.streams import Reset
from meshagent.connect.proxy.http.timers import TimerWheel
from meshagent.connect.proxy.http2 import client, limits
from meshagent.connect.proxy.http2.client import Http2ClientCodec


class Server:
    """The h2 library as the server of our client codec."""

    def __init__(self, settings: dict[int, int] | None = None) -> None:
        self.wire = Pipe()
        self.changes = 0
        self.codec = Http2ClientCodec(self.wire, TimerWheel(Now()))
        self.codec.on_change = self._changed
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding=None))
        self.h2.local_settings = Settings(client=False, initial_values=settings or {})
        self.events: list[object] = []
        self.h2.initiate_connection()
        self.exchange()

    def _changed(self) -> None:
        self.changes += 1

    def exchange(self) -> None:
        while True:
            out = self.wire.take()
            if out:
                self.events += self.h2.receive_data(out)
            back = self.h2.data_to_send()
            if back:
                self.codec.data_received(back)
            if not out and not back:
                return

    def ask(self, end: bool = True, request: RequestHead | None = None) -> Answer:
        answer = Answer()
        self.codec.open_stream(request or head(), end, answer)
        self.exchange()
        return answer


def test_a_request_goes_out_and_its_answer_comes_in() -> None:
    server = Server()
    answer = server.ask()
    (request,) = [event for event in server.events if isinstance(event, RequestReceived)]
    assert request.headers == [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"api")]
    server.h2.send_headers(1, [(b":status", b"103"), (b"link", b"x")])
    server.h2.send_headers(1, [(b":status", b"200"), (b"content-length", b"5")])
    server.h2.send_data(1, b"hello", end_stream=True)
    server.exchange()
    assert [one.status for one in answer.informational] == [103]
    assert answer.head == ResponseHead(200, [(b"content-length", b"5")], 5)
    assert (answer.body, answer.ended) == (b"hello", True)


class TestCapacity:
    def test_it_is_the_servers_limit(self) -> None:
        server = Server({SettingCodes.MAX_CONCURRENT_STREAMS: 2})
        assert server.codec.capacity == 2
        server.ask()
        server.ask()
        assert server.codec.capacity == 0
        changes = server.changes
        server.h2.send_headers(1, [(b":status", b"204")], end_stream=True)
        server.exchange()
        assert server.codec.capacity == 1
        assert server.changes == changes + 1

    def test_it_follows_a_new_limit(self) -> None:
        server = Server({SettingCodes.MAX_CONCURRENT_STREAMS: 0})
        assert server.codec.capacity == 0
        server.h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 7})
        server.exchange()
        assert server.codec.capacity == 7
        assert server.changes

    def test_a_server_without_a_limit_gets_ours(self) -> None:
        wire = Pipe()
        codec = Http2ClientCodec(wire, TimerWheel(Now()))
        assert codec.capacity == 100
        codec.data_received(b"\0\0\0\4\0\0\0\0\0")
        assert codec.capacity == limits.MAX_STREAMS

    def test_identifiers_run_out_and_another_connection_takes_over(self, monkeypatch) -> None:
        monkeypatch.setattr(client, "_LAST_ID", 4)
        pair = Pair()
        answers = [pair.ask()[0] for _ in range(3)]
        assert pair.client.capacity == 0
        assert pair.client.closed
        pair.pump()
        for request in pair.requests:
            request.answer(204)
        pair.pump()
        assert [answer.status for answer in answers] == [204] * 3
        assert pair.client_wire.closed


class TestGoAway:
    def test_what_the_server_did_not_look_at_is_refused(self) -> None:
        server = Server()
        first, second = server.ask(), server.ask()
        server.h2.close_connection(last_stream_id=1)
        server.exchange()
        assert second.was_reset is Reset.REFUSED
        assert first.was_reset is None
        assert server.codec.closed
        assert server.codec.capacity == 0
        assert server.changes

    def test_the_last_request_may_be_one_that_it_did_not_look_at(self) -> None:
        server = Server()
        answer = server.ask()
        server.h2.close_connection(last_stream_id=0)
        server.exchange()
        assert answer.was_reset is Reset.REFUSED
        assert server.wire.closed

    def test_a_request_opened_while_it_is_handled_is_refused(self) -> None:
        """The answer before it in the same bytes makes somebody ask again."""
        pair = Pair()
        answer, _ = pair.ask()
        pair.pump()
        late = Answer()
        taken = answer.on_head

        def ask_again(head_: ResponseHead, end: bool) -> None:
            taken(head_, end)
            pair.client.open_stream(head(), True, late)

        answer.on_head = ask_again  # type: ignore[method-assign]
        pair.requests[0].answer(204)
        pair.codec.drain()
        pair.pump()
        assert (answer.status, late.was_reset) == (204, Reset.REFUSED)
        assert pair.client.closed
        assert pair.client_wire.closed

    def test_the_last_answer_closes_the_connection(self) -> None:
        pair = Pair()
        answer, _ = pair.ask()
        pair.pump()
        pair.codec.drain()
        pair.pump()
        assert pair.client.closed
        assert not pair.client_wire.closed
        pair.requests[0].answer(200, b"bye")
        pair.pump()
        assert answer.body == b"bye"
        assert pair.client_wire.closed

    def test_we_drain(self) -> None:
        pair = Pair()
        answer, _ = pair.ask()
        pair.pump()
        pair.client.drain()
        assert pair.client.closed
        pair.pump()
        assert not pair.client_wire.closed
        pair.requests[0].answer(200, b"bye")
        pair.pump()
        assert answer.body == b"bye"
        assert pair.client_wire.closed

    def test_an_idle_connection_drains_at_once(self) -> None:
        pair = Pair()
        pair.client.drain()
        pair.pump()
        assert pair.client_wire.closed
        assert pair.wire.closed


class TestLost:
    def test_before_a_byte_came_it_was_stale(self) -> None:
        server = Server()
        first = server.ask()
        server.h2.send_headers(1, [(b":status", b"204")], end_stream=True)
        server.exchange()
        assert first.ended
        second = Answer()
        server.codec.open_stream(head(), True, second)
        server.codec.connection_lost("")
        assert second.was_reset is Reset.STALE

    def test_in_the_middle_it_was_lost(self) -> None:
        server = Server()
        answer = server.ask()
        server.h2.send_headers(1, [(b":status", b"200")])
        server.exchange()
        server.codec.connection_lost("")
        assert answer.was_reset is Reset.CONNECTION_LOST

    def test_the_first_request_is_never_stale(self) -> None:
        server = Server()
        answer = server.ask()
        server.codec.connection_lost("")
        assert answer.was_reset is Reset.CONNECTION_LOST

    def test_nothing_can_be_opened_on_it(self) -> None:
        server = Server()
        server.codec.data_received(b"\0\0\0\4\0\0\0\0\1")
        answer = server.ask()
        assert answer.was_reset is not None


def test_an_answer_before_the_request_has_ended_ends_it() -> None:
    server = Server()
    answer = server.ask(end=False)
    server.h2.send_headers(1, [(b":status", b"413")], end_stream=True)
    server.exchange()
    assert (answer.status, answer.ended, answer.was_reset) == (413, True, None)
    (reset,) = [event for event in server.events if isinstance(event, StreamReset)]
    assert reset.error_code == ErrorCodes.CANCEL
    assert server.codec.active == 0


def test_a_server_that_pushes_is_ended() -> None:
    server = Server()
    answer = server.ask()
    server.codec.data_received(b"\0\0\5\5\4\0\0\0\1\0\0\0\2\x82")
    server.exchange()
    assert answer.was_reset is Reset.PROTOCOL_ERROR
    assert server.wire.closed


class TestWebsockets:
    request = RequestHead(b"GET", b"http", b"api", b"/chat", [], upgrade=b"websocket")

    def test_a_tunnel_carries_bytes_both_ways(self) -> None:
        pair = Pair()
        answer, stream = pair.ask(self.request.copy(), False)
        pair.pump()
        (request,) = pair.requests
        assert (request.head.method, request.head.upgrade) == (b"GET", b"websocket")
        request.stream.send_head(ResponseHead(101, []), False)
        pair.pump()
        assert answer.status == 101
        stream.send_data(b"ping", False)
        request.stream.send_data(b"pong", False)
        pair.pump()
        assert (request.body, answer.body) == (b"ping", b"pong")

    def test_a_server_that_does_not_know_them_is_not_asked(self) -> None:
        server = Server()
        answer = server.ask(False, self.request.copy())
        assert answer.was_reset is Reset.PROTOCOL_ERROR
        assert not server.events or not any(isinstance(event, RequestReceived) for event in server.events)
