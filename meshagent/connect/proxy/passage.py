"""I/O edge: connections that reach the application unproven, where permissive mutual TLS lets them.

For services whose callers are not all in the mesh yet. No intention speaks of them, for nobody knows who they are; they
are counted and told as `tls=none`, and cut when the permission is taken back. Bytes pass as they are, whatever the
service's protocol.

Source: surface rows M29, X10 (Consul's Envoys pass them to the application the same way). What may change here: limits.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from meshagent.clock import Tasks
from meshagent.connect.proxy.local_app import join_application
from meshagent.connect.proxy.original_destination import original_destination
from meshagent.connect.proxy.peek import Peek, Taker, begins_tls
from meshagent.connect.proxy.pump import Side
from meshagent.connect.proxy.tallies import Tallies
from meshagent.connect.proxy.telemetry.connections import Connections
from meshagent.connect.snapshot import Inbound
from meshagent.errors import RemoteProtocolError

__all__ = ["Passage"]

log = logging.getLogger("proxy.inbound")


class Passage:
    """Those of one inbound listener. `inbound` gives what it works from."""

    def __init__(
        self, inbound: Callable[[], Inbound], tasks: Tasks, tallies: Tallies, connections: Connections
    ) -> None:
        self._inbound = inbound
        self._tasks = tasks
        self._tallies = tallies
        self._connections = connections
        self._sides: set[Side] = set()
        self._peeking: set[Peek] = set()

    def __len__(self) -> int:
        return len(self._sides) + len(self._peeking)

    def peek(self, proven: Callable[[], Taker]) -> Peek:
        """For a new connection: TLS goes to what `proven` makes, anything else passes; so does a client that waits for
        the application to speak first."""

        def choose(data: bytes, last: bool) -> tuple[Taker, int] | None:
            tls = begins_tls(data)
            if tls:
                return proven(), 0
            return (self.accept(), 0) if tls is False or last else None

        peek = Peek(choose, self._inbound().detect_timeout_ms / 1000.0, self._peeking.discard, self._meant_for_it)
        self._peeking.add(peek)
        return peek

    def _meant_for_it(self, transport: asyncio.Transport) -> Side | None:
        """What was redirected on its way to the application's own port passes whatever it says: the application may
        speak TLS itself."""
        handle = transport.get_extra_info("socket")
        try:
            meant = original_destination(handle) if handle is not None else None
        except RemoteProtocolError:
            return None
        return self.accept() if meant is not None and meant[1] == self._inbound().local_port else None

    def accept(self) -> Side:
        """A protocol for a connection that passes."""
        return Side(None, self._ready, self._closed)

    @property
    def sides(self) -> set[Side]:
        """Those that pass."""
        return self._sides

    def cut(self) -> int:
        """The permission is gone: end all of them; how many."""
        for peek in list(self._peeking):
            peek.abort()
        sides = list(self._sides)
        for side in sides:
            if side.other is not None:
                side.other.abort()
            side.abort()
        return len(sides)

    # --- one connection ----------------------------------------------------------------------------------------

    def _ready(self, side: Side) -> None:
        self._sides.add(side)
        self._tallies.plain += 1
        side.noted = self._connections.joined(tls=False)
        side.pause()
        self._tasks.start(self._dial(side), name="plain inbound connection")

    async def _dial(self, side: Side) -> None:
        inbound = self._inbound()
        why = await join_application(side, inbound)
        if why:
            self._tallies.unreachable += 1
            self._connections.failed(why=why)
            log.warning(
                "the application cannot be reached: address=%s:%d error=%s",
                inbound.local_address, inbound.local_port, why,
            )  # fmt: skip
            side.abort()

    def _closed(self, side: Side, why: str) -> None:
        self._sides.discard(side)
        if side.noted is not None:
            other = side.other
            self._connections.ended(side.noted, side.read_bytes, other.read_bytes if other is not None else 0, why)
