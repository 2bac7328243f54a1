"""Byte streams between simulated processes: cut into pieces, late, stalled by partitions, broken, half open.

As TCP: what arrives arrives once and in order, up to the moment at which a connection breaks; each side learns of that
at its own time, or not at all while the way is cut. Who sends to a process that died and came back gets a reset.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import Any

from meshagent.catalog.raft.messages import Message
from meshtest.sim.lives import LIFE, Life
from meshtest.sim.network import Weather

STALL_S = 0.02  # how often a stalled stream looks whether the way is open again
RETRANSMITTED_S = (0.05, 0.3)  # how much later a lost packet comes
EOF = object()
RESET = object()


class Wire:
    """Has the face of `Network` towards cluster and nemesis. `cut` holds (from, to)."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.weather = Weather()
        self.cut: set[tuple[str, str]] = set()
        self.listeners: dict[str, tuple[Life, Callable[[str], asyncio.Protocol]]] = {}
        self.ends: set[End] = set()
        self.sent = 0  # pieces
        self.connections = 0
        self.broken = 0
        self.on_sent: Callable[[str, Message], None] = lambda sender, message: None
        self.on_delivered: Callable[[str, str, Message], None] = lambda sender, receiver, message: None

    def listen(self, life: Life, accept: Callable[[str], asyncio.Protocol]) -> None:
        self.listeners[life.name] = life, accept

    async def connect(self, factory: Callable[[], asyncio.Protocol], host: str) -> tuple[End, asyncio.Protocol]:
        """What a loop's `create_connection` is for the process that runs now. Raises OSError."""
        life = LIFE.get()
        assert life is not None
        await asyncio.sleep(2 * self.rng.uniform(*self.weather.delay_s))
        while {(life.name, host), (host, life.name)} & self.cut:
            await asyncio.sleep(STALL_S)
        there, accept = self.listeners.get(host, (None, None))
        if there is None or accept is None or not there.alive:
            raise ConnectionRefusedError(f"nobody listens at {host}")
        self.connections += 1
        near, far = End(self, life), End(self, there)
        near.peer, far.peer = far, near
        self.ends |= {near, far}
        near.protocol = factory()
        there.run(far.accepted, accept, life.name)
        near.protocol.connection_made(near)
        return near, near.protocol

    def died(self, life: Life) -> None:
        """Its connections are reset by its kernel, unless the whole machine went."""
        silent = self.rng.random() < 0.3
        for end in [end for end in sorted(self.ends, key=lambda end: end.number) if end.life is life]:
            end.closed = True
            self.ends.discard(end)
            if not silent:
                end.say(RESET)

    def break_one(self) -> None:
        """Something on the way ends a connection."""
        if self.ends:
            end = self.rng.choice(sorted(self.ends, key=lambda end: end.number))
            self.broken += 1
            for each in (end, end.peer):
                loop = asyncio.get_running_loop()
                loop.call_later(self.rng.uniform(0, 0.2), each.receive, RESET, context=Context())

    def break_off(self, node_id: str) -> None:
        """A process that dies ends its connections by itself."""

    def forget(self) -> None:
        """All that is under way is lost."""
        for end in sorted(self.ends, key=lambda end: end.number):
            end.receive(RESET)


class End(asyncio.Transport):
    """One side of a connection: what its process writes, and how what the other wrote comes in."""

    count = 0

    def __init__(self, wire: Wire, life: Life) -> None:
        super().__init__()
        End.count += 1
        self.number = End.count
        self.wire = wire
        self.life = life
        self.peer: End
        self.protocol: Any = None
        self.closed = False
        self.lost = False
        self.queue: deque[tuple[float, Any]] = deque()
        self.queued_bytes = 0
        self.pumping = False
        self.full = False
        self.low, self.high = 16 << 10, 64 << 10

    # -- asyncio.Transport, for its own process

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.closed:
            return
        data = bytes(data)
        rng = self.wire.rng
        if rng.random() < self.wire.weather.reconnects / 4:
            self.wire.broken += 1
            self.receive(RESET)
            self.say(RESET)
            return
        while data:
            size = len(data) if rng.random() < 0.6 else rng.randint(1, len(data))
            self.say(data[:size])
            data = data[size:]
        if self.queued_bytes > self.high and not self.full:
            self.full = True
            self.protocol.pause_writing()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.say(EOF)
            self._lose(None)

    def abort(self) -> None:
        if not self.closed:
            self.closed = True
            self.say(RESET)
            self._lose(None)

    def is_closing(self) -> bool:
        return self.closed

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high, self.low = high or self.high, low or self.low

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    # -- the way to the other side, in no process

    def say(self, what: Any) -> None:
        weather, rng = self.wire.weather, self.wire.rng
        self.wire.sent += 1
        at = asyncio.get_running_loop().time() + rng.uniform(*weather.delay_s)
        if rng.random() < weather.loss:
            at += rng.uniform(*RETRANSMITTED_S)
        if self.queue:
            at = max(at, self.queue[-1][0])
        self.queue.append((at, what))
        if isinstance(what, bytes):
            self.queued_bytes += len(what)
        self._pump_at(self.queue[0][0])

    def _pump_at(self, at: float) -> None:
        if not self.pumping:
            self.pumping = True
            asyncio.get_running_loop().call_at(at, self._pump, context=Context())

    def _pump(self) -> None:
        self.pumping = False
        loop = asyncio.get_running_loop()
        if (self.life.name, self.peer.life.name) in self.wire.cut:
            self._pump_at(loop.time() + STALL_S)
            return
        while self.queue and self.queue[0][0] <= loop.time() + 1e-9:
            _, what = self.queue.popleft()
            if isinstance(what, bytes):
                self.queued_bytes -= len(what)
            self.peer.receive(what)
        if self.full and self.queued_bytes <= self.low and not self.closed:
            self.full = False
            self.life.run(self._writable)
        if self.queue:
            self._pump_at(self.queue[0][0])

    def receive(self, what: Any) -> None:
        if not self.life.alive or self.lost:
            if what is not RESET and not self.peer.lost:
                self.say(RESET)
        else:
            self.life.run(self._take, what)

    # -- in its process

    def accepted(self, accept: Callable[[str], asyncio.Protocol], remote: str) -> None:
        self.protocol = accept(remote)
        self.protocol.connection_made(self)

    def _writable(self) -> None:
        if not self.lost:
            self.protocol.resume_writing()

    def _take(self, what: Any) -> None:
        if self.lost or self.protocol is None:
            return
        if what is RESET:
            self._lose(ConnectionResetError("reset by peer"))
        elif what is EOF:
            self.protocol.eof_received()
            self.close()
        elif not self.closed:
            self.protocol.data_received(what)

    def _lose(self, error: Exception | None) -> None:
        if self.lost:
            return
        self.lost = self.closed = True
        self.wire.ends.discard(self)
        asyncio.get_running_loop().call_soon(self.protocol.connection_lost, error)
