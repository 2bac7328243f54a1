"""I/O edge: what a leader does for the other servers: takes their writes, tells them how far a read must wait.

Source: design.md "RPC"; Ongaro (2014), sections 6.3 (a write carries an id) and 6.4 (read index). Any server has these
methods: one that does not lead answers NoLeader, and the asker looks for the leader again.

What may be changed: a method is a row in `leader_methods`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from meshagent.catalog.log import Answer, ReplicatedLog
from meshagent.catalog.rpc.hello import Peer
from meshagent.catalog.rpc.link import Handler
from meshagent.catalog.rpc.writes import (
    PROPOSE,
    READ_INDEX,
    decode_read,
    decode_writes,
    encode_index,
    encode_outcomes,
)
from meshagent.errors import NoLeader, Unavailable

__all__ = ["SharedLog", "leader_methods"]


class SharedLog(ReplicatedLog, Protocol):
    """A log of several servers: what forwarding needs of it beyond `ReplicatedLog`."""

    def propose(self, command: bytes, request_id: bytes | None = None) -> asyncio.Future[Any]:
        """As `ReplicatedLog.propose`; of all proposals with one id, anywhere, one is applied and all get its result."""

    on_change: list[Callable[[], None]]
    """Called when role, term or leader has changed."""

    def hand_in(self, command: bytes, request_id: bytes, answer: Answer) -> None:
        """The same for whoever has a future already; it may fail before this returns."""

    @property
    def has_others(self) -> bool:
        """Whether there is another server."""

    @property
    def has_heard(self) -> bool:
        """Whether this server leads, or has heard a leader since its start."""

    @property
    def leader_id(self) -> str | None:
        """Node id of the leader that is known here."""

    @property
    def applied_index(self) -> int:
        """Index of the last entry that was applied here."""

    def when_applied(self, index: int) -> asyncio.Future[None]:
        """Done when the entry at `index` has been applied here."""

    def confirmed(self) -> asyncio.Future[None]:
        """What `barrier` waits for."""


def leader_methods(log: SharedLog) -> dict[str, Handler]:
    """What to pass to `RpcServer(methods=...)`."""

    def propose(_: Peer, payload: bytes) -> asyncio.Future[bytes]:
        writes = decode_writes(payload)
        return _all([log.propose(command, id) for id, command in writes])

    async def read_index(_: Peer, payload: bytes) -> bytes:
        if decode_read(payload):
            await log.barrier()
        elif not log.is_leader:
            raise NoLeader
        return encode_index(log.applied_index)

    return {PROPOSE: propose, READ_INDEX: read_index}


def _all(futures: Sequence[asyncio.Future[Any]]) -> asyncio.Future[bytes]:
    """The encoded outcomes of all. Cheaper than `gather` by what is counted for each write."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[bytes] = loop.create_future()
    left = len(futures)

    def done(future: asyncio.Future[Any]) -> None:
        nonlocal left
        left -= 1
        if not future.cancelled():
            future.exception()  # seen, also when nobody waits for the batch any more
        if not left and not answer.done():
            answer.set_result(encode_outcomes([_outcome(future) for future in futures]))

    for future in futures:
        future.add_done_callback(done)
    if not futures:
        answer.set_result(encode_outcomes([]))
    return answer


def _outcome(future: asyncio.Future[Any]) -> Any:
    if future.cancelled():
        return Unavailable("the write was given up")
    error = future.exception()
    return future.result() if error is None else error
