"""I/O edge: one HTTP/1 connection.

aiohttp's RequestHandler parses and serves requests; in front of it stand two shortcuts on the raw bytes
(`shortcuts.py`): reads that were answered before (`hot.py`) and the plain KV write (`putpath.py`). One is taken only
between two requests, when the bytes are exactly one request. For that the connection keeps count of where requests end
(`_clean`); where it is not sure (pipelining, odd chunked bodies), everything goes through aiohttp until it ends.

Heads and bodies must arrive in time; a partial head is held here, so that aiohttp never waits for one.

Source: RFC 9112; surface rows C2, C26, C28; design.md "The hot paths serve bytes". What may change here: shortcuts may
only be added for requests that answer the same both ways, which tests/agent/http/test_connection.py holds.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from aiohttp.http_exceptions import BadStatusLine

from meshagent.agent.http.bodies import body_pieces, read_body
from meshagent.agent.http.dispatch import Incoming
from meshagent.agent.http.exchange import Exchange, Written
from meshagent.agent.http.hot import MAX_REQUEST
from meshagent.agent.http.response import StreamingResponse
from meshagent.agent.http.shortcuts import Shortcuts
from meshagent.agent.http.streaming import send_stream
from meshagent.agent.http.wire import error_answer

if TYPE_CHECKING:
    from aiohttp.streams import StreamReader

    from meshagent.agent.http.server import HttpServer

__all__ = ["Connection"]

log = logging.getLogger("agent.http")

_END = b"\r\n\r\n"
TOO_MANY = (
    b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
    b"Your IP is issuing too many concurrent connections, please rate limit your calls\n"
)
#: A body gets this much longer than `body_timeout_s` for every so many bytes of it.
BODY_BYTES_PER_S = 16 * 1024
MAX_HEADERS = 256


class Connection(Shortcuts):
    """One client connection."""

    __slots__ = (
        "_body_left",
        "_busy",
        "_chunked",
        "_clean",
        "_deadline",
        "_hot_seen",
        "_may_put",
        "_partial",
        "_raw",
        "_rejected",
        "_tail",
        "remote",
    )

    def __init__(self, server: HttpServer, loop: asyncio.AbstractEventLoop) -> None:
        settings = server.settings
        super().__init__(
            server.manager,
            loop=loop,
            keepalive_timeout=settings.idle_timeout_s,
            access_log=None,  # type: ignore[arg-type]
            logger=log,
            max_line_size=settings.max_head,
            max_field_size=settings.max_head,
            max_headers=MAX_HEADERS,
            auto_decompress=False,
            lingering_time=1.0,
        )
        self.server = server
        self.remote = ""
        #: Requests that aiohttp has and has not answered.
        self._busy = 0
        #: Whether the next byte that comes is known to begin a request (or `_partial`, or a body).
        self._clean = True
        self._partial = b""
        self._body_left = 0
        self._chunked: StreamReader | None = None
        #: The last bytes of a chunked body so far.
        self._tail = b""
        self._deadline: asyncio.TimerHandle | None = None
        self._held = None
        #: The bytes of the request in progress when it may be remembered.
        self._raw = b""
        self._rejected = False
        self._may_put = False
        self._answered = None
        self._served = 0
        self._hot_seen = 0

    # --- the life of a connection ------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername")
        self.remote = peer[0] if isinstance(peer, tuple) and peer else ""
        if not self.server.admit(self.remote):
            self._rejected = True
            self._manager = None
            transport.write(TOO_MANY)  # type: ignore[attr-defined]
            transport.close()
            return
        self._may_put = self.server.may_shortcut_put(self.remote)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._rejected:
            return
        self.server.release(self.remote)
        self._disarm()
        super().connection_lost(exc)

    def _process_keepalive(self) -> None:
        if self._served != self._hot_seen and self._keepalive_timeout > 0 and not self._force_close:
            # Shortcuts do not move aiohttp's idle time: look again one timeout later.
            self._hot_seen = self._served
            at = self._loop.time() + self._keepalive_timeout
            self._next_keepalive_close_time = at
            self._keepalive_handle = self._loop.call_at(at, self._process_keepalive)
            return
        super()._process_keepalive()

    # --- bytes -------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if not self._clean or not data:
            super().data_received(data)
            return
        if not self._busy and not self._body_left and not self._paused and self._chunked is None:
            entry = self.server.hot.entries.get(data)
            if entry is not None and not self._partial and self._held is None:
                gate = entry.gate()
                if gate is not None:
                    self._wait_hot(entry, gate, data)
                    return
                if self._answer_hot(entry):
                    return
        self._received(data)

    def _received(self, data: bytes) -> None:
        """Bytes at a known place: the rest of a body, or the next head."""
        if self._rejected or self._force_close or self._close:
            return
        if self._held is not None:
            self._hold(data)
            return
        if self._body_left:
            self._body_received(data)
            return
        if self._chunked is not None:
            self._chunk_received(data)
            return
        if self._partial:
            data = self._partial + data
            self._partial = b""
        end = data.find(_END)
        if end < 0:
            if len(data) > self.server.settings.max_head:
                self._refuse(431, "request header fields too large")
                return
            if not data.lstrip(b"\r\n")[:1].isalpha() and data.strip(b"\r\n"):
                self._clean = False  # no request begins so (a TLS client, perhaps): aiohttp refuses it at once
                super().data_received(data)
                return
            self._partial = data
            if self._deadline is None:
                self._arm(self.server.settings.head_timeout_s)
            return
        self._disarm()
        if self._may_put and not self._busy and data.startswith(b"PUT /v1/kv/") and self._put(data):
            return
        self._feed(data, end + 4)

    def _feed(self, data: bytes, head: int) -> None:
        """Give aiohttp a head (its length is known) and what came behind it, and learn where the request ends."""
        before = self._request_count
        super().data_received(data)
        new = self._request_count - before
        self._busy += new
        if new != 1 or not self._messages:
            self._clean = False
            return
        message: Any = self._messages[-1][0]
        headers = getattr(message, "headers", None)
        if headers is None or message.upgrade:
            self._clean = False
            return
        rest = len(data) - head
        if message.chunked:
            self._raw = b""
            self._chunked = self._messages[-1][1]
            self._chunk_fed(data[head:])
            return
        length = int(headers.get("Content-Length", "0"))
        self._body_left = length - rest
        if self._body_left < 0:
            self._body_left = 0
            self._clean = False
        elif self._body_left:
            self._arm(self.server.settings.body_timeout_s + length / BODY_BYTES_PER_S)
        self._raw = data if length == 0 and rest == 0 and len(data) <= MAX_REQUEST and self._busy == 1 else b""

    def _body_received(self, data: bytes) -> None:
        if len(data) > self._body_left:
            self._body_left = 0
            self._clean = False
            self._disarm()
            super().data_received(data)
            return
        self._body_left -= len(data)
        if not self._body_left:
            self._disarm()
        super().data_received(data)

    def _chunk_received(self, data: bytes) -> None:
        before = self._request_count
        super().data_received(data)
        if self._request_count != before:
            self._busy += self._request_count - before
            self._clean = False
            return
        self._chunk_fed(data)

    def _chunk_fed(self, data: bytes) -> None:
        """A chunked body has had `data`. At its end the place is known only when nothing stands behind the last chunk:
        then the bytes end in an empty line (a further complete head would have counted as a request)."""
        payload = self._chunked
        self._tail = (self._tail + data)[-len(_END) :]
        if payload is None or not payload.is_eof():
            if self._deadline is None:
                self._arm(self.server.settings.body_timeout_s)
            return
        self._disarm()
        self._chunked = None
        self._clean = self._tail == _END
        self._tail = b""

    def _refuse(self, status: int, text: str) -> None:
        self._disarm()
        transport = self.transport
        if transport is not None and not self._busy:
            answer = error_answer(status, text, self.server.dispatcher.always, close=True)
            transport.writelines(self.server.wire(answer, keep_alive=False))
        self.force_close()

    def more_body_within(self, timeout_s: float) -> None:
        """The next part of the body in progress must come within so many seconds."""
        self._arm(timeout_s)

    def _arm(self, timeout_s: float) -> None:
        self._disarm()
        self._deadline = self._loop.call_later(timeout_s, self._too_slow)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        self._refuse(408, "the request did not arrive in time")

    # --- requests that aiohttp has read ------------------------------------------------------------------------

    async def serve(self, exchange: Exchange) -> Written:
        """Answer one request; called by aiohttp, one at a time."""
        message = exchange.message
        raw, self._raw = self._raw, b""
        server = self.server
        incoming = Incoming(
            message.method,
            message.path,
            message.headers,
            self.remote,
            lambda limit: read_body(self, exchange, limit),
            lambda: body_pieces(self, exchange),
        )
        outcome = await server.dispatcher.answer(incoming)
        answer = outcome.answer
        keep_alive = not message.should_close and not self._close and not server.stopping
        transport = self.transport
        if transport is None:
            return Written(False)
        if isinstance(answer, StreamingResponse):
            self._close = True
            await send_stream(self, exchange, answer, server)
            keep_alive = False
        else:
            keep_alive = keep_alive and not answer.close
            if not keep_alive:
                self._close = True  # nothing that comes from now on is answered
            old = message.version < (1, 1)
            transport.writelines(server.wire(answer, keep_alive=keep_alive, old=old))
            if self._paused:
                await self._drain_helper()
            if raw and keep_alive and not old and outcome.view is not None and outcome.dress is not None:
                server.remember(raw, outcome)
        self._busy -= 1
        return Written(keep_alive)

    def handle_error(
        self, request: Any, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> Any:
        """What aiohttp refuses (it could not be parsed) or what failed beneath the dispatcher."""
        if status >= 500:
            log.error("connection failed: from=%s", self.remote, exc_info=exc)
        elif not isinstance(exc, BadStatusLine):
            log.debug("bad request: from=%s error=%s", self.remote, exc)
        self._close = True
        text = "400 Bad Request" if status == 400 else "internal error: see the log of the agent"
        if self.transport is not None:
            answer = error_answer(status, text, b"", close=True)
            self.transport.writelines(self.server.wire(answer, keep_alive=False))
        return Written(False)
