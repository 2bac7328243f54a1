"""I/O edge: one connection of a client agent that a server has accepted: its feed's name, and its read barrier.

Source: README.md beside this file. What may be changed: nothing here decides when a connection is used.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from meshagent.agent.rpc import messages
from meshagent.agent.rpc.messages import Unwatch, Watch, WatchBatch
from meshagent.agent.servers import Server
from meshagent.catalog.rpc.link import Link
from meshagent.catalog.rpc.read_gate import ReadGate
from meshagent.errors import Unavailable

__all__ = ["Session"]

#: Of one request.
MAX_UNWATCHED = 16_384


class Session:
    """One accepted connection, and its feed."""

    def __init__(self, server: Server, link: Link, task: asyncio.Task[object], timeout_s: float) -> None:
        self.server = server
        self.link = link
        self.task = task
        self.name = os.urandom(8)
        #: Called when the server does not take what is to be followed.
        self.on_refused: Callable[[BaseException], None] = lambda error: None
        self._watches: list[Watch] = []
        self._unwatched: list[int] = []
        self._sending = False
        self.leaderless_since: float | None = None
        self.gate = ReadGate(self._sync, timeout_s=timeout_s + 1.0)
        self._timeout_s = timeout_s

    def send(self, message: WatchBatch | Unwatch) -> None:
        """Tell the server what to follow, in the next turn of the loop: however much it is, it is few requests."""
        if isinstance(message, WatchBatch):
            self._watches += message.watches
        else:
            self._unwatched += message.subs
        if not self._sending:
            self._sending = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._sending = False
        watches, self._watches = self._watches, []
        gone, self._unwatched = self._unwatched, []
        for at in range(0, len(watches), messages.MAX_BATCH):
            batch = WatchBatch(self.name, tuple(watches[at : at + messages.MAX_BATCH]))
            self._call(messages.WATCH, messages.encode(batch))
        for at in range(0, len(gone), MAX_UNWATCHED):
            unwatch = Unwatch(self.name, tuple(gone[at : at + MAX_UNWATCHED]))
            self._call(messages.UNWATCH, messages.encode(unwatch))

    def _call(self, method: str, payload: bytes) -> None:
        def answered(call: asyncio.Future[bytes]) -> None:
            if not call.cancelled() and (error := call.exception()) is not None:
                self.on_refused(error)

        self.link.call(method, payload, self._timeout_s).add_done_callback(answered)

    def _sync(self) -> asyncio.Future[None]:
        """A question whose answer comes behind everything that the leader had when it was asked."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def answered(call: asyncio.Future[bytes]) -> None:
            error = Unavailable("the read was given up") if call.cancelled() else call.exception()
            if done.done():
                return
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

        self.link.call(messages.SYNC, self.name, self._timeout_s).add_done_callback(answered)
        return done
