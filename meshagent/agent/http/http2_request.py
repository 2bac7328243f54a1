"""I/O edge: one request of an HTTP/2 connection: its body as it comes, its answer as the client takes it.

The body's next piece is taken from the client when the handler of the endpoint wants it, and must come in time. An
answer is handed over in slices, and waits between them while the client does not read: what waits is a reference to the
answer, not a copy.

Source: RFC 9113 section 8; surface rows C12, C28, A23, A24. What may change here: nothing a client could tell apart
from HTTP/1.1 (`connection.py`, `bodies.py`, `streaming.py`) but what the protocol itself does.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections import deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from multidict import CIMultiDict

from meshagent.agent.http.connection import BODY_BYTES_PER_S
from meshagent.agent.http.dispatch import Incoming
from meshagent.agent.http.response import StreamingResponse
from meshagent.agent.http.wire import Answer, header_block
from meshagent.connect.proxy.http.messages import Headers, RequestHead, ResponseHead
from meshagent.connect.proxy.http.streams import DownstreamStream, Reset
from meshagent.errors import MeshError, TooLarge

if TYPE_CHECKING:
    from meshagent.agent.http.http2_connection import Http2Connection

__all__ = ["Http2Request", "header_pairs"]

log = logging.getLogger("agent.http")

SLICE_BYTES = 64 * 1024
#: What belongs to a connection of HTTP/1.1.
_LEFT_OUT = frozenset({b"connection", b"transfer-encoding", b"keep-alive"})


class TooSlow(MeshError):
    """A body that did not come in time."""

    http_status = 408


class Http2Request:
    """`DownstreamHandler` of a stream."""

    __slots__ = ("_arrived", "_blocked", "_body", "_complete", "_connection", "_head", "_stream", "task")

    def __init__(self, connection: Http2Connection, stream: DownstreamStream, head: RequestHead, end: bool) -> None:
        self._connection = connection
        self._stream = stream
        self._head = head
        self._body: deque[bytes] = deque()
        self._complete = end
        self._arrived: asyncio.Future[None] | None = None
        self._blocked: asyncio.Future[None] | None = None
        self.task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Answer it."""
        server = self._connection.server
        self.task = server.agent.tasks.start(self._serve(), name="http2 request")

    # --- what the codec says -----------------------------------------------------------------------------------

    def on_data(self, data: bytes, end: bool) -> None:
        if data:
            self._body.append(data)
            self._stream.pause_reading()  # until the endpoint has taken it
        self._complete = self._complete or end
        self._wake()

    def on_trailers(self, trailers: Headers) -> None:
        self._complete = True
        self._wake()

    def on_reset(self, why: Reset) -> None:
        if self.task is not None:
            self.task.cancel()

    def on_blocked(self) -> None:
        if self._blocked is None:
            self._blocked = asyncio.get_running_loop().create_future()

    def on_writable(self) -> None:
        if self._blocked is not None:
            blocked, self._blocked = self._blocked, None
            if not blocked.done():
                blocked.set_result(None)

    def _wake(self) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

    # --- the request's body ------------------------------------------------------------------------------------

    async def _piece(self, timeout_s: float) -> bytes:
        """The next piece, b"" at the end. Raises TooSlow."""
        if not self._body and not self._complete:
            self._arrived = asyncio.get_running_loop().create_future()
            self._stream.resume_reading()
            if not self._body and not self._complete:
                try:
                    async with asyncio.timeout(timeout_s):
                        await self._arrived
                except TimeoutError:
                    raise TooSlow("the request did not arrive in time") from None
            self._arrived = None
        return self._body.popleft() if self._body else b""

    async def _read_body(self, limit: int) -> bytes:
        """All of it, in time. Raises TooLarge, TooSlow."""
        self._go_on()
        if self._head.length is not None and self._head.length > limit:
            raise TooLarge(f"Request body is larger than {limit} bytes")
        loop = asyncio.get_running_loop()
        until = (
            loop.time() + self._connection.server.settings.body_timeout_s + (self._head.length or 0) / BODY_BYTES_PER_S
        )
        parts: list[bytes] = []
        size = 0
        while part := await self._piece(max(until - loop.time(), 0.0)):
            size += len(part)
            if size > limit:
                raise TooLarge(f"Request body is larger than {limit} bytes")
            parts.append(part)
        return b"".join(parts)

    async def _pieces(self) -> AsyncIterator[bytes]:
        """The body of an upload as it comes; each piece in time."""
        self._go_on()
        while part := await self._piece(self._connection.server.settings.body_timeout_s):
            yield part

    def _go_on(self) -> None:
        """Tell a client that asks first to send its body."""
        if self._head.expects_continue and not self._complete:
            self._stream.send_informational(ResponseHead(100, []))

    # --- the answer --------------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        connection = self._connection
        server = connection.server
        head = self._head
        headers: CIMultiDict[str] = CIMultiDict((_text(name), _text(value)) for name, value in head.headers)
        headers.setdefault("Host", _text(head.authority))
        incoming = Incoming(
            _text(head.method), _text(head.path), headers, connection.remote, self._read_body, self._pieces
        )
        try:
            outcome = await server.dispatcher.answer(incoming)
            answer = outcome.answer
            if isinstance(answer, StreamingResponse):
                await self._stream_out(answer, gzip="gzip" in headers.get("Accept-Encoding", ""))
            else:
                await self._write(answer)
        finally:
            connection.requests.discard(self)

    async def _write(self, answer: Answer) -> None:
        server = self._connection.server
        pairs = header_pairs(answer.head + server.date.line)
        body = answer.body
        self._stream.send_head(ResponseHead(answer.status, pairs, length=len(body)), not body)
        for at in range(0, len(body), SLICE_BYTES):
            if at:
                self._connection.leave()  # which says whether the client takes more
                await self._writable()
            self._stream.send_data(body[at : at + SLICE_BYTES], at + SLICE_BYTES >= len(body))

    async def _stream_out(self, answer: StreamingResponse, *, gzip: bool) -> None:
        server = self._connection.server
        packer = zlib.compressobj(1, zlib.DEFLATED, 31) if gzip and not answer.packed else None
        lines = server.dispatcher.always + header_block(answer.headers)
        if packer is not None:
            lines += b"Content-Encoding: gzip\r\n"
        if answer.content_type is not None:
            lines += f"Content-Type: {answer.content_type}\r\n".encode()
        self._stream.send_head(ResponseHead(answer.status, header_pairs(lines + server.date.line)), False)
        try:
            async for piece in answer.chunks:
                if packer is not None:
                    piece = packer.compress(piece) + packer.flush(zlib.Z_SYNC_FLUSH)
                for at in range(0, len(piece), SLICE_BYTES):
                    await self._writable()
                    self._stream.send_data(piece[at : at + SLICE_BYTES], False)
                    self._connection.leave()
        except MeshError as error:
            log.error("an answer broke off: from=%s error=%s", self._connection.remote, error)
            self._stream.reset(Reset.LOCAL)  # the client sees that something is missing
            return
        finally:
            close = getattr(answer.chunks, "aclose", None)
            if close is not None:
                await close()
        self._stream.send_data(packer.flush() if packer is not None else b"", True)

    async def _writable(self) -> None:
        """Once the client takes more."""
        while self._blocked is not None or not self._connection.writable.is_set():
            await self._connection.writable.wait()
            if self._blocked is not None:
                await self._blocked


def header_pairs(lines: bytes) -> Headers:
    """Headers of `Name: value` lines of HTTP/1.1 (a status line before them is left out), as HTTP/2 says them."""
    pairs: Headers = []
    for line in lines.split(b"\r\n"):
        name, colon, value = line.partition(b": ")
        if colon and not name.startswith(b"HTTP/1.1 "):
            lower = name.lower()
            if lower not in _LEFT_OUT:
                pairs.append((lower, value))
    return pairs


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
