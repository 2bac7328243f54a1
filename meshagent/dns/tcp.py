"""I/O edge: DNS over TCP, length-prefixed messages, many on one connection.

Source: RFC 1035 section 4.2.2, RFC 7766 sections 6.2 (pipelining, idle time, limits) and 7 (answers in any order);
surface row D27.

What may change here: the limits. Peers that send nothing, or read nothing, for `IDLE_S` are cut off; when all
connections are taken the one that was quiet longest goes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, cast

from meshagent.dns.responder import Elsewhere, Responder

__all__ = ["IDLE_S", "MAX_CONNECTIONS", "Connection", "Connections"]

MAX_CONNECTIONS: Final = 1024
#: RFC 7766 asks for "a few seconds"; Consul's library closes after 8.
IDLE_S: Final = 10.0
#: Queries of one connection that wait for a recursor.
MAX_WAITING: Final = 64
#: Answers are put together up to here before they are written.
_CHUNK_BYTES: Final = 64 * 1024
_HIGH_WATER_BYTES: Final = 256 * 1024

Answer = Callable[[bytes, bool, float], bytes | Elsewhere | None]
Outside = Callable[[Elsewhere, Callable[[bytes], None]], None]


class Connections:
    """All TCP connections of one server."""

    def __init__(
        self,
        responder: Responder,
        answer: Answer,
        outside: Outside,
        monotonic: Callable[[], float],
        count_answers: Callable[[int, float], None],
        max_connections: int = MAX_CONNECTIONS,
        idle_s: float = IDLE_S,
    ) -> None:
        self.responder = responder
        self.answer = answer
        self.outside = outside
        self.monotonic = monotonic
        self.count_answers = count_answers
        self._max = max_connections
        self._idle_s = idle_s
        self._open: dict[Connection, None] = {}

    def __len__(self) -> int:
        return len(self._open)

    def opened(self, connection: Connection) -> None:
        """Keep a new connection; another may have to go."""
        if len(self._open) >= self._max:
            min(self._open, key=lambda one: one.active_at).abort()
        self._open[connection] = None

    def closed(self, connection: Connection) -> None:
        """Forget a connection."""
        self._open.pop(connection, None)

    def sweep(self, now: float) -> None:
        """Cut off what has been quiet for too long."""
        for connection in [one for one in self._open if now - one.active_at > self._idle_s]:
            connection.abort()

    def close(self) -> None:
        """Cut off all."""
        for connection in list(self._open):
            connection.abort()


class Connection(asyncio.Protocol):
    """One client. `active_at` is when it last sent something or took what was sent to it."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._waiting = 0
        self._blocked = False
        self._ended = False
        self.active_at = connections.monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_HIGH_WATER_BYTES)
        self._connections.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._connections.closed(self)

    def abort(self) -> None:
        """Close without waiting for what is unsent."""
        self._connections.closed(self)
        if self._transport is not None:
            self._transport.abort()

    def eof_received(self) -> bool:
        # The client may have closed its side and still wait for answers.
        self._ended = True
        return self._waiting > 0 or self._blocked

    def pause_writing(self) -> None:
        self._blocked = True
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._blocked = False
        self._go_on()

    def data_received(self, data: bytes) -> None:
        self.active_at = self._connections.monotonic()
        self._received = self._received + data if self._received else data
        self._serve()

    def _go_on(self) -> None:
        self.active_at = self._connections.monotonic()
        self._serve()
        if self._transport is None or self._blocked or self._waiting >= MAX_WAITING:
            return
        if self._ended:
            if not self._waiting:
                self._transport.close()
        else:
            self._transport.resume_reading()

    def _serve(self) -> None:
        """Answer all whole messages received, until the client must read first."""
        connections = self._connections
        responder = connections.responder
        hot = responder.cache.tcp
        now = self.active_at
        if now >= responder.second_ends:
            responder.tick(now)
        data, at, size, count = self._received, 0, 0, 0
        out: list[bytes] = []
        while not self._blocked and self._waiting < MAX_WAITING and self._transport is not None:
            body = at + 2
            if body > len(data):
                break
            end = body + (data[at] << 8 | data[at + 1])
            if end > len(data):
                break
            at = end
            query = data[body + 2 : end]
            answers = hot.rotating.get(query)
            ready = next(answers, None) if answers is not None else hot.timed.get(query)
            if ready is None:
                packet = data[body:end]
                found = connections.answer(packet, True, now)
                if found is None:
                    continue
                if isinstance(found, Elsewhere):
                    self._ask_outside(found, packet[:2])
                    continue
                ready = found
            count += 1
            out += ((len(ready) + 2).to_bytes(2, "big"), data[body : body + 2], ready)
            size += len(ready)
            if size > _CHUNK_BYTES:
                self._transport.write(b"".join(out))  # may call pause_writing
                out, size = [], 0
        self._received = data[at:] if at else data
        if out and self._transport is not None:
            self._transport.write(b"".join(out))
        if count:
            connections.count_answers(count, connections.monotonic() - now)

    def _ask_outside(self, elsewhere: Elsewhere, query_id: bytes) -> None:
        self._waiting += 1
        if self._waiting >= MAX_WAITING and self._transport is not None:
            self._transport.pause_reading()

        def send(answer: bytes) -> None:
            self._waiting -= 1
            if self._transport is not None:
                self._transport.write((len(answer) + 2).to_bytes(2, "big") + query_id + answer)
                self._go_on()

        self._connections.outside(elsewhere, send)
