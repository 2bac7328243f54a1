"""The connections to one instance: kept open between requests, opened when none has room, closed when unused. No I/O.

The youngest free connection is used first, so that those that are not needed grow old and are closed. A connection
that carries many requests (HTTP/2) stays in use while it has capacity.

Source: Envoy's connection pools. What may change here: when to open ahead.
"""

from __future__ import annotations

from typing import Protocol

from meshagent.connect.proxy.http.hooks import Breaker, PoolWaiter
from meshagent.connect.proxy.http.streams import ClientCodec, Reset, Timers

__all__ = ["IDLE_TIMEOUT_S", "Connect", "HostPool"]

#: An unused connection is closed after this long: before the servers of most applications do (node 5 s is not, but a
#: request that meets a stale connection is tried again).
IDLE_TIMEOUT_S = 60.0
#: A connection carries so many requests at most; 0: any number.
MAX_REQUESTS = 0


class Connect(Protocol):
    """Opens connections: calls `connected` or `failed` of the pool, later or at once."""

    def __call__(self, pool: HostPool) -> None: ...


class HostPool:
    """`Pool` of one host. `breaker`, when there is one, bounds connections and waiting requests."""

    __slots__ = (
        "_connect",
        "_connecting",
        "_free",
        "_sweeping",
        "_timers",
        "_waiters",
        "breaker",
        "closed",
        "codecs",
        "streams_per_connection",
    )

    def __init__(self, connect: Connect, timers: Timers, breaker: Breaker | None = None) -> None:
        self._connect = connect
        self._timers = timers
        self.breaker = breaker
        #: Connections with capacity, with the time they became so; the youngest last.
        self._free: dict[ClientCodec, float] = {}
        self.codecs: set[ClientCodec] = set()
        self._waiters: dict[PoolWaiter, None] = {}
        self._connecting = 0
        self._sweeping = False
        self.closed = False
        #: What a new connection is expected to carry (HTTP/2: many); learnt from the last one.
        self.streams_per_connection = 1

    def acquire(self, waiter: PoolWaiter) -> ClientCodec | None:
        free = self._free
        if not waiter.fresh:
            while free:
                codec, since = free.popitem()
                capacity = codec.capacity
                if capacity > 1:
                    free[codec] = since
                if capacity:
                    return codec
        self._wait(waiter)
        return None

    def cancel(self, waiter: PoolWaiter) -> None:
        if waiter in self._waiters:
            del self._waiters[waiter]
            if self.breaker is not None:
                self.breaker.end_pending()

    def close(self) -> None:
        """Use it no more: free connections are closed, others when their requests have ended."""
        self.closed = True
        for codec in list(self.codecs):
            codec.drain()
        self._free.clear()
        self._fail_all(Reset.CONNECT_FAILURE, "the instance is gone")

    def renew(self) -> None:
        """Open new connections from now on; those that are open end with their requests."""
        for codec in list(self.codecs):
            self._free.pop(codec, None)
            codec.drain()

    # --- what the connector says -------------------------------------------------------------------------------

    def connected(self, codec: ClientCodec) -> None:
        """A connection that was asked for is there."""
        if codec.closed:
            self.failed(Reset.CONNECT_FAILURE, "the connection ended at once")
            return
        self._connecting -= 1
        self.codecs.add(codec)
        codec.on_change = lambda: self._changed(codec)
        self.streams_per_connection = max(1, codec.capacity)
        if self.closed:
            codec.drain()
            return
        self._free[codec] = self._timers.now()
        self._serve(codec)
        if not self._sweeping:
            self._sweeping = True
            self._timers.after(IDLE_TIMEOUT_S / 2, self._sweep)

    def failed(self, why: Reset, detail: str) -> None:
        """A connection that was asked for will not be. Those who wait for it are told: the next try may do better."""
        self._connecting -= 1
        self._end_connection()
        enough = self._connecting * self.streams_per_connection
        for waiter in list(self._waiters)[: max(0, len(self._waiters) - enough)]:
            self.cancel(waiter)
            waiter.on_no_connection(why, detail)

    # --- inside ------------------------------------------------------------------------------------------------

    def _wait(self, waiter: PoolWaiter) -> None:
        breaker = self.breaker
        if self.closed:
            waiter.on_no_connection(Reset.CONNECT_FAILURE, "the instance is gone")
            return
        if breaker is not None and not breaker.try_pending():
            waiter.on_no_connection(Reset.OVERFLOW, "max_pending_requests")
            return
        self._waiters[waiter] = None
        self._open()
        if waiter in self._waiters and not self._connecting and not self.codecs:
            # No connection is allowed (max_connections, others hold them) and none will come free here.
            self.cancel(waiter)
            waiter.on_no_connection(Reset.OVERFLOW, "max_connections")

    def _open(self) -> None:
        """Open what those who wait need."""
        while len(self._waiters) > self._connecting * self.streams_per_connection and not self.closed:
            if self.breaker is not None and not self.breaker.try_connection():
                return
            self._connecting += 1
            self._connect(self)

    def _changed(self, codec: ClientCodec) -> None:
        if codec.closed:
            self._free.pop(codec, None)
            if codec in self.codecs:
                self.codecs.discard(codec)
                self._end_connection()
                if self._waiters:
                    self._open()
            return
        if codec.capacity and not self.closed:
            if MAX_REQUESTS and codec.opened >= MAX_REQUESTS:
                codec.drain()
                return
            self._free.pop(codec, None)
            self._free[codec] = self._timers.now()
            if self._waiters:
                self._serve(codec)

    def _serve(self, codec: ClientCodec) -> None:
        """Give a connection to those who wait, as far as it goes. `fresh` ones only take one that is new."""
        for waiter in list(self._waiters):
            if not codec.capacity:
                break
            if waiter.fresh and codec.opened:
                continue
            if codec.capacity == 1:
                self._free.pop(codec, None)
            self.cancel(waiter)
            waiter.on_connection(codec)

    def _fail_all(self, why: Reset, detail: str) -> None:
        for waiter in list(self._waiters):
            self.cancel(waiter)
            waiter.on_no_connection(why, detail)

    def _end_connection(self) -> None:
        if self.breaker is not None:
            self.breaker.end_connection()

    def _sweep(self) -> None:
        """Close what has been free for too long."""
        oldest = self._timers.now() - IDLE_TIMEOUT_S
        for codec, since in list(self._free.items()):
            if since > oldest:
                break
            if not codec.active:
                codec.drain()
        self._sweeping = bool(self.codecs) and not self.closed
        if self._sweeping:
            self._timers.after(IDLE_TIMEOUT_S / 2, self._sweep)
