"""I/O edge: carries a `recursor.Lookup` over sockets.

Source: RFC 5452 section 9 (a fresh random port for each question, a connected socket), RFC 7766 section 8 (the two
length bytes of TCP).

What may change here: the limits. Identical questions in flight share one lookup, which also denies a forger the many
parallel chances of a birthday attack (RFC 5452 section 5).
"""

from __future__ import annotations

import asyncio
import random
from typing import Final, cast

from meshagent.clock import Clock
from meshagent.dns.recursor import Answered, Ask, Done, Failed, Lookup, address_query, recursor_order
from meshagent.dns.settings import DnsSettings
from meshagent.dns.wire import AAAA, CNAME, A, Record, decode_records
from meshagent.errors import RemoteProtocolError
from meshagent.machine import Command, Event, SetTimer, TimerFired

__all__ = ["Upstream"]

#: Questions under way at once; more are answered SERVFAIL at once.
MAX_IN_FLIGHT: Final = 1024


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, events: asyncio.Queue[Event]) -> None:
        self._events = events

    def datagram_received(self, data: bytes, addr: object) -> None:
        self._events.put_nowait(Answered(data))

    def error_received(self, exc: Exception) -> None:
        self._events.put_nowait(Failed(str(exc)))


class _Stream(asyncio.Protocol):
    """One length-prefixed message out, one in."""

    def __init__(self, events: asyncio.Queue[Event], data: bytes) -> None:
        self._events = events
        self._data = data
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(len(self._data).to_bytes(2, "big") + self._data)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if len(self._received) >= 2:
            end = 2 + int.from_bytes(self._received[:2], "big")
            if len(self._received) >= end:
                self._events.put_nowait(Answered(self._received[2:end]))
                self._received = b""

    def connection_lost(self, exc: Exception | None) -> None:
        self._events.put_nowait(Failed(str(exc or "closed")))


class Upstream:
    """The recursors of the settings. `rng` draws ids: give it the operating system's (`random.SystemRandom`)."""

    def __init__(self, settings: DnsSettings, clock: Clock, rng: random.Random) -> None:
        self._settings = settings
        self._clock = clock
        self._rng = rng
        self._in_flight: dict[tuple[bytes, bool, bool], asyncio.Future[bytes | None]] = {}

    def reconfigure(self, settings: DnsSettings) -> None:
        """Ask by other settings from now on."""
        self._settings = settings

    async def forward(self, query: bytes, tcp: bool) -> bytes | None:
        """The reply of a recursor to a client's query, or None when none answered."""
        return await self._shared(query, tcp, False)

    async def addresses(self, host: str, qtype: int) -> tuple[Record, ...]:
        """What recursors know of an outside host name: A, AAAA or, for other types, both; empty when nothing."""
        found: list[Record] = []
        for wanted in (qtype,) if qtype in (A, AAAA) else (A, AAAA):
            query = address_query(host, wanted)
            reply = await self._shared(query, False, True) if query is not None else None
            if reply is not None:
                try:
                    found += [rr for rr in decode_records(reply, (wanted, CNAME)) if rr not in found]
                except RemoteProtocolError:
                    continue
        return tuple(found)

    async def _shared(self, query: bytes, tcp: bool, follow_truncated: bool) -> bytes | None:
        key = (query[2:], tcp, follow_truncated)
        running = self._in_flight.get(key)
        if running is None:
            if len(self._in_flight) >= MAX_IN_FLIGHT:
                return None
            running = self._in_flight[key] = asyncio.get_running_loop().create_future()
            reply = None
            try:
                reply = await self._run(query, tcp, follow_truncated)
            finally:
                del self._in_flight[key]
                if not running.done():
                    running.set_result(reply)
        else:
            reply = await asyncio.shield(running)
        return query[:2] + reply[2:] if reply is not None else None

    async def _run(self, query: bytes, tcp: bool, follow_truncated: bool) -> bytes | None:
        settings = self._settings
        lookup = Lookup(
            query,
            recursor_order(settings, self._rng),
            settings.recursor_timeout_s,
            self._rng,
            tcp=tcp,
            follow_truncated=follow_truncated,
        )
        events: asyncio.Queue[Event] = asyncio.Queue()
        transport: asyncio.BaseTransport | None = None
        deadline = self._clock.monotonic()
        pending: list[Command] = lookup.start(deadline)
        try:
            while True:
                for command in pending:
                    if isinstance(command, Done):
                        return command.reply
                    if isinstance(command, SetTimer):
                        deadline = command.at
                    elif isinstance(command, Ask):
                        if transport is not None:
                            _close(transport)
                        events = asyncio.Queue()
                        transport = await self._ask(command, events)
                now = self._clock.monotonic()
                try:
                    event = await asyncio.wait_for(events.get(), max(0.0, deadline - now))
                except TimeoutError:
                    event = TimerFired("attempt")
                pending = lookup.handle(event, self._clock.monotonic())
        finally:
            if transport is not None:
                _close(transport)

    async def _ask(self, ask: Ask, events: asyncio.Queue[Event]) -> asyncio.BaseTransport | None:
        loop = asyncio.get_running_loop()
        try:
            if ask.tcp:
                connect = loop.create_connection(lambda: _Stream(events, ask.data), *ask.server)
                return (await asyncio.wait_for(connect, self._settings.recursor_timeout_s))[0]
            transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(events), remote_addr=ask.server)
            transport.sendto(ask.data)
            return transport
        except (OSError, TimeoutError) as error:
            events.put_nowait(Failed(str(error) or "no connection in time"))
            return None


def _close(transport: asyncio.BaseTransport) -> None:
    if isinstance(transport, (asyncio.DatagramTransport, asyncio.WriteTransport)):
        transport.abort()
    else:
        transport.close()
