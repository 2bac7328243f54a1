"""I/O edge: the log as a client agent sees it: it leads nothing, and what it proposes goes to a server.

Only what concerns the agent's own node may be proposed (anti-entropy, coordinates); all else goes through the HTTP API.
What is proposed in one turn of the loop leaves in one frame. Once a write may have reached a server it is tried again
under its id until a server says what became of it: what is proposed after it is never overtaken by a late copy, so a
service that was deregistered does not come back.

Source: design.md "RPC"; surface rows E1-E3. What may be changed: sizes and times.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from itertools import count
from typing import Any

from meshagent.agent.rpc import messages
from meshagent.agent.rpc.messages import Write
from meshagent.agent.rpc.upstream import Upstream
from meshagent.catalog.rpc.writes import decode_outcomes
from meshagent.clock import Clock, Tasks
from meshagent.errors import LocalProtocolError, MeshError, NoLeader, RemoteProtocolError, Unavailable

__all__ = ["RemoteLog"]

log = logging.getLogger("agent.client")

#: Of one frame. A row has some KiB; the server takes 16 MiB.
MAX_BATCH_BYTES = 4 << 20
#: Pause before what may have been applied is tried again.
AGAIN_S = 0.5


class RemoteLog:
    """A `ServingLog` without a log. `origin`: eight bytes that no other run of any agent has.

    `token()` is the token that registrations go with.
    """

    def __init__(self, upstream: Upstream, *, origin: bytes, clock: Clock, token: Callable[[], str] = str) -> None:
        if len(origin) != 8:
            raise LocalProtocolError("an origin has eight bytes")
        self._upstream = upstream
        self._origin = origin
        self._clock = clock
        self._token = token
        self._count = count(1)
        self._waiting: list[tuple[Write, asyncio.Future[Any]]] = []
        self._sending = False
        self._tasks = Tasks()

    async def start(self) -> None:
        return

    async def stop(self) -> None:
        await self._tasks.cancel()
        self._fail(self._waiting, Unavailable("this agent is shutting down"))
        self._waiting = []

    def propose(self, command: bytes, request_id: bytes | None = None) -> asyncio.Future[Any]:
        """As `ReplicatedLog.propose`. NoLeader: it has not reached any server."""
        return self.propose_as(command, self._token(), request_id)

    def propose_as(self, command: bytes, token: str, request_id: bytes | None = None) -> asyncio.Future[Any]:
        """The same with a token of its own."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        id = request_id or self._origin + next(self._count).to_bytes(8, "big")
        self._waiting.append(((id, token, command), future))
        if not self._sending:
            self._sending = True
            self._tasks.start(self._send_all(), name="client writes")
        return future

    async def barrier(self) -> None:
        raise NoLeader("a client agent does not lead")

    @property
    def has_heard(self) -> bool:
        """What is held came from a server that has."""
        return True

    def read_gate(self, *, consistent: bool = False) -> asyncio.Future[None] | None:
        """As `ServingLog.read_gate`, for what is followed."""
        return self._upstream.gate()

    async def read_barrier(self, *, consistent: bool = False) -> None:
        """Return when what is followed is as new as what the leader had when this was called. Raises NoLeader."""
        await self._upstream.barrier()

    @property
    def is_leader(self) -> bool:
        return False

    @property
    def leader(self) -> str:
        """The leader that the server in use knows; "" without a server."""
        return self._upstream.standing.leader if self._upstream.connected else ""

    @property
    def last_contact_ms(self) -> int:
        """How old what is held may be."""
        upstream = self._upstream
        return upstream.standing.last_contact_ms if upstream.connected else int(upstream.age_s * 1000)

    def stats(self) -> dict[str, str]:
        return {}

    # --- inside ------------------------------------------------------------------------------------------------

    async def _send_all(self) -> None:
        try:
            while self._waiting:
                batch = self._take()
                try:
                    await self._send(batch)
                except asyncio.CancelledError:
                    self._fail(batch, Unavailable("this agent is shutting down"))
                    raise
        finally:
            self._sending = False

    def _take(self) -> list[tuple[Write, asyncio.Future[Any]]]:
        size = taken = 0
        for write, _ in self._waiting[: messages.MAX_BATCH]:
            size += len(write[2])
            if taken and size > MAX_BATCH_BYTES:
                break
            taken += 1
        batch, self._waiting = self._waiting[:taken], self._waiting[taken:]
        return batch

    async def _send(self, batch: list[tuple[Write, asyncio.Future[Any]]]) -> None:
        try:
            await self._upstream.wait_connected()
        except MeshError as error:
            self._fail(batch, error)
            return
        payload = messages.encode([write for write, _ in batch])
        while batch:
            try:
                outcomes = decode_outcomes(await self._upstream.call(messages.REGISTER, payload))
                if len(outcomes) != len(batch):
                    raise RemoteProtocolError("the server answered another number of writes than it was sent")
            except MeshError as error:
                if not error.retryable:
                    self._fail(batch, error)
                    return
                log.warning("registrations wait for the servers: writes=%d: %s", len(batch), error)
            else:
                batch = self._settle(batch, outcomes)
                payload = messages.encode([write for write, _ in batch])
            if batch:
                await self._clock.sleep(AGAIN_S)

    def _settle(
        self, batch: list[tuple[Write, asyncio.Future[Any]]], outcomes: list[Any]
    ) -> list[tuple[Write, asyncio.Future[Any]]]:
        """Tell who waits; those whose outcome is not known."""
        again = []
        for (write, future), outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, MeshError) and outcome.retryable:
                again.append((write, future))
            elif future.done():
                continue
            elif isinstance(outcome, MeshError):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)
        return again

    @staticmethod
    def _fail(batch: list[tuple[Write, asyncio.Future[Any]]], error: MeshError) -> None:
        for _, future in batch:
            if not future.done():
                future.set_exception(type(error)(str(error)))
