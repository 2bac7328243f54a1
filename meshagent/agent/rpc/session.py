"""I/O edge: one connection of a client agent that a server has accepted: its feed's name, and its read barrier.

Source: README.md beside this file. What may be changed: nothing here decides when a connection is used.
"""

from __future__ import annotations

import asyncio
import os

from meshagent.agent.rpc import messages
from meshagent.agent.servers import Server
from meshagent.catalog.rpc.link import Link
from meshagent.catalog.rpc.read_gate import ReadGate
from meshagent.errors import Unavailable

__all__ = ["Session"]


class Session:
    """One accepted connection, and its feed."""

    def __init__(self, server: Server, link: Link, task: asyncio.Task[object], timeout_s: float) -> None:
        self.server = server
        self.link = link
        self.task = task
        self.name = os.urandom(8)
        self.leaderless_since: float | None = None
        self.gate = ReadGate(self._sync, timeout_s=timeout_s + 1.0)
        self._timeout_s = timeout_s

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
