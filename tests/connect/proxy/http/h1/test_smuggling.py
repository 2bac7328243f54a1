"""Whatever a client sends, what goes to the server is whole requests that a strict parser reads in one way.

The codecs are joined by an exchange, as in a sidecar; llhttp is the judge of what the server got.
"""

from __future__ import annotations

import itertools

import httptools
from hypothesis import given
from hypothesis import strategies as st
from meshtest.http7 import FakeWire, World

from meshagent.connect.proxy.http.h1.client import Http1ClientCodec
from meshagent.connect.proxy.http.h1.server import Http1ServerCodec
from meshagent.connect.proxy.http.hooks import PoolWaiter


class Judge:
    """What llhttp makes of the bytes of one connection to the server."""

    def __init__(self) -> None:
        self.urls: list[bytes] = []
        self.complete = 0
        self._url = b""

    def on_message_begin(self) -> None:
        self._url = b""

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_headers_complete(self) -> None:
        self.urls.append(self._url)

    def on_message_complete(self) -> None:
        self.complete += 1


class Upstream:
    """A pool that opens a connection for each request and answers when the request is complete."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.wires: list[tuple[FakeWire, Http1ClientCodec]] = []

    def acquire(self, waiter: PoolWaiter) -> Http1ClientCodec:
        wire = FakeWire()
        codec = Http1ClientCodec(wire, self.world.timers)
        self.wires.append((wire, codec))
        return codec

    def cancel(self, waiter: PoolWaiter) -> None: ...

    def answer_all(self) -> None:
        for _, codec in self.wires:
            if codec.stream is not None and codec.stream.done:
                codec.data_received(b"HTTP/1.1 204 No Content\r\n\r\n")


LINES = st.sampled_from(
    [b"GET / HTTP/1.1\r\n", b"POST /a HTTP/1.1\r\n", b"POST /b HTTP/1.0\r\n", b"HEAD /c?d HTTP/1.1\r\n", b"GET\r\n",
     b"Host: a\r\n", b"Host: b\n", b"Content-Length: 3\r\n", b"Content-Length: 0\r\n", b"Content-Length: 3, 3\r\n",
     b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding : chunked\r\n", b"Transfer-Encoding: \tchunked\r\n",
     b"transfer-encoding: chunked, identity\r\n", b" folded: x\r\n", b"X: y\rZ: 1\r\n", b"Connection: close\r\n",
     b"Connection: transfer-encoding\r\n", b"Connection: upgrade\r\n", b"Upgrade: h2c\r\n", b"Trailer: X\r\n",
     b"Expect: 100-continue\r\n", b"TE: trailers\r\n", b"\r\n", b"\r\n\r\n", b"\n", b"abc", b"3\r\nabc\r\n",
     b"3;x\r\nabc\r\n",
     b"0\r\n\r\n", b"0\r\nContent-Length: 5\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"4\nabcd\r\n",
     b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"]
)  # fmt: skip
REQUEST = st.sampled_from(
    [b"GET /g HTTP/1.1\r\nHost: a\r\n\r\n", b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
     b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n",
     b"POST /bad HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n"]
)  # fmt: skip


@given(st.lists(LINES | REQUEST, max_size=16), st.lists(st.integers(0, 400), max_size=6))
def test_the_server_gets_whole_requests(pieces: list[bytes], cuts: list[int]) -> None:
    world = World()
    upstream = Upstream(world)
    world.api.hosts[0].pool = upstream
    client = FakeWire()
    codec = Http1ServerCodec(client, world.timers, world.manager.on_request)
    data = b"".join(pieces)
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for start, stop in itertools.pairwise(places):
        if stop > start and not (client.closed or client.aborted):
            codec.data_received(data[start:stop])
            for _ in range(20):
                upstream.answer_all()
    for wire, _ in upstream.wires:
        judge = Judge()
        try:
            httptools.HttpRequestParser(judge).feed_data(wire.sent)
        except httptools.HttpParserInvalidMethodError:
            continue  # a method of somebody's own: llhttp has a list, RFC 9110 section 9.1 has none
        assert len(judge.urls) == 1, "one connection, one request"
        assert judge.complete <= 1
    complete = client.sent.count(b"HTTP/1.1 204 ")
    assert complete <= len(upstream.wires)
    if not (client.closed or client.aborted):
        codec.connection_lost("")
    assert world.settled()
