"""I/O edge: an HTTP/2 connection for one question: a ping, or one request and its response.

Source: RFC 9113 through the h2 library, which is sans-I/O; surface rows K15 and K17. The library is imported only when
a gRPC or HTTP/2 check runs for the first time.

What may be changed here: whatever the peer sends ends `finished` with a value or with `ProbeFailed`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from meshagent.agent.checks.dial import describe
from meshagent.agent.checks.probe import ProbeFailed

if TYPE_CHECKING:
    from h2.events import Event

__all__ = ["MAX_BODY_BYTES", "H2Call", "H2Exchange", "H2Ping", "H2Reply"]

#: A health answer has a few bytes; no more than this is read.
MAX_BODY_BYTES = 64 * 1024
MAX_RECEIVED_BYTES = 256 * 1024


class H2Reply:
    """A response so far."""

    __slots__ = ("body", "headers", "trailers")

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.trailers: dict[str, str] = {}
        self.body = b""


class H2Exchange(asyncio.Protocol):
    """The connection; children say what is asked and when it is answered."""

    def __init__(self) -> None:
        from h2.config import H2Configuration  # only when such a check runs
        from h2.connection import H2Connection

        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self._transport: asyncio.Transport | None = None
        self._received = 0

    def ask(self) -> None:
        """Queue the question on `h2`."""
        raise NotImplementedError

    def answered(self, event: Event) -> bool:
        """Take an event; True when it completes the answer."""
        raise NotImplementedError

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self.h2.initiate_connection()
        self.ask()
        self._transport.write(self.h2.data_to_send())

    def data_received(self, data: bytes) -> None:
        from h2.events import ConnectionTerminated
        from h2.exceptions import ProtocolError

        if self.finished.done() or self._transport is None:
            return
        try:
            self._weigh(data)
            for event in self.h2.receive_data(data):
                if self.answered(event):
                    self.finished.set_result(None)
                    return
                if isinstance(event, ConnectionTerminated):
                    raise ProbeFailed(
                        f"http2: server sent GOAWAY and closed the connection; ErrCode={event.error_code}"
                    )
            if out := self.h2.data_to_send():
                self._transport.write(out)
        except ProbeFailed as error:
            self.finished.set_exception(error)
        except (ProtocolError, UnicodeDecodeError) as error:
            self.finished.set_exception(ProbeFailed(f"http2: {error}"))

    def _weigh(self, data: bytes) -> None:
        """Refuse what the library would go on collecting: an HTTP/1 answer looks like a frame of 4.7 million bytes."""
        if not self._received and data.startswith(b"HTTP/"):
            raise ProbeFailed("http2: frame too large, note that the frame header looked like an HTTP/1.1 header")
        self._received += len(data)
        if self._received > MAX_RECEIVED_BYTES:
            raise ProbeFailed(f"http2: more than {MAX_RECEIVED_BYTES} bytes and no answer")

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.finished.done():
            why = describe(exc) if isinstance(exc, OSError) else "EOF"
            self.finished.set_exception(ProbeFailed(why))

    def close(self) -> None:
        """Hang up at once."""
        if self.finished.done():
            if not self.finished.cancelled():
                self.finished.exception()  # looked at: not reported as forgotten
        else:
            self.finished.cancel()
        if self._transport is not None:
            self._transport.abort()


class H2Ping(H2Exchange):
    """Asks with a PING frame."""

    def ask(self) -> None:
        self.h2.ping(b"meshagnt")

    def answered(self, event: Event) -> bool:
        from h2.events import PingAckReceived

        return isinstance(event, PingAckReceived)


class H2Call(H2Exchange):
    """Asks with one request; the answer ends with its stream."""

    def __init__(self, headers: Sequence[tuple[str, str]], body: bytes) -> None:
        super().__init__()
        self._headers = headers
        self._body = body
        self.reply = H2Reply()

    def ask(self) -> None:
        self.h2.send_headers(1, self._headers)
        self.h2.send_data(1, self._body, end_stream=True)

    def answered(self, event: Event) -> bool:
        from h2.events import (
            DataReceived,
            ResponseReceived,
            StreamEnded,
            StreamReset,
            TrailersReceived,
        )

        reply = self.reply
        if isinstance(event, ResponseReceived):
            reply.headers = _text(event.headers)
        elif isinstance(event, TrailersReceived):
            reply.trailers = _text(event.headers)
        elif isinstance(event, DataReceived):
            reply.body += event.data
            if len(reply.body) > MAX_BODY_BYTES:
                raise ProbeFailed(f"received message larger than max ({len(reply.body)} vs. {MAX_BODY_BYTES})")
            self.h2.acknowledge_received_data(event.flow_controlled_length, 1)
        elif isinstance(event, StreamReset):
            raise ProbeFailed(f"stream terminated by RST_STREAM with error code: {event.error_code}")
        return isinstance(event, StreamEnded)


def _text(headers: Sequence[tuple[bytes | str, bytes | str]] | None) -> dict[str, str]:
    return {_str(name): _str(value) for name, value in headers or ()}


def _str(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "replace")
