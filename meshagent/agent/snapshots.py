"""Saving the state as an archive and restoring one, whichever server is asked.

Source: surface rows SN1, SN2. A save is of the leader unless a stale one will do: the leader keeps the archive on disk
for a moment, the server that was asked fetches it piece by piece. A restore goes the other way, once the whole of it
has come in and is sound. So nobody holds an archive in memory, and a slow client slows nobody else.

What may be changed: how often and how long a restore is tried.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshagent.agent.operator_calls import at_leader
from meshagent.agent.server_calls import decode, encode
from meshagent.agent.snapshot_calls import (
    SNAPSHOT_BEGIN,
    SNAPSHOT_CLOSE,
    SNAPSHOT_OPEN,
    SNAPSHOT_READ,
    SNAPSHOT_RESTORE,
    SNAPSHOT_WRITE,
    Opened,
    spools,
)
from meshagent.agent.snapshot_local import checked, pack, restore_here
from meshagent.agent.spool import Spool
from meshagent.errors import CorruptData, MeshError, NoLeader, NotFound, Timeout, Unavailable

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["Saved", "restore", "save"]

log = logging.getLogger("agent.server.snapshot")

#: The leader makes a whole archive before it answers the first question.
PIECE_S = 600.0
#: A restore is applied everywhere before it is answered: a large one takes its time.
RESTORE_S = 3600.0
ATTEMPTS = 4
PAUSE_S = 2.0


@dataclass(frozen=True, slots=True)
class Saved:
    """An archive that is ready to be read. `index` is the state's, `last_contact_ms` how old it may be."""

    index: int
    last_contact_ms: int
    pieces: AsyncIterator[bytes]


async def _ask(agent: Agent, method: str, payload: bytes, *, timeout_s: float = PIECE_S) -> bytes:
    """Once: a piece that was taken must not come again, and another leader has nothing of it."""
    try:
        return await at_leader(agent, method, payload, timeout_s=timeout_s, again=False)
    except NotFound as error:
        raise Unavailable(f"{error}; nothing was changed by it, try again") from error


# --- saving --------------------------------------------------------------------------------------------------------


async def save(agent: Agent, *, stale: bool = False) -> Saved:
    """An archive of the state: of this server's if it leads or a stale one will do, else of the leader's.

    Raises:
        NoLeader, Unavailable, TooLarge
    """
    if stale or agent.log.is_leader:
        contact_ms = 0 if agent.log.is_leader else agent.log.last_contact_ms
        meta, pieces = pack(agent)
        return Saved(meta.index, contact_ms, pieces)
    opened = decode(await _ask(agent, SNAPSHOT_OPEN, b""), Opened)
    return Saved(opened.index, 0, _fetch(agent, opened))


async def _fetch(agent: Agent, opened: Opened) -> AsyncIterator[bytes]:
    offset = 0
    try:
        while offset < opened.size:
            piece = await _ask(agent, SNAPSHOT_READ, encode((opened.ticket, offset)))
            if not piece:
                raise CorruptData("the leader's snapshot ends too early")
            offset += len(piece)
            yield piece
    finally:
        agent.tasks.start(_close(agent, opened.ticket), name="snapshot close")


async def _close(agent: Agent, ticket: str) -> None:
    try:
        await _ask(agent, SNAPSHOT_CLOSE, encode(ticket))
    except MeshError as error:  # it is given up when it was idle for long enough
        log.debug("an archive was left behind: %s", error)


# --- restoring -----------------------------------------------------------------------------------------------------


async def restore(agent: Agent, pieces: AsyncIterator[bytes], expected_bytes: int = 0) -> None:
    """Replace the state of the cluster by that of the archive in `pieces`. Nothing changes when it is not whole.

    A large restore keeps all servers busy, and a leader may be lost over it: then it is tried again at the next one.

    Raises:
        CorruptData: it is damaged, cut short, empty, or not ours; in Consul's words.
        TooLarge: the disk has no room for it. NoLeader, Unavailable, Conflict: not now.
    """
    spool = spools(agent).make()
    try:
        await spool.expect(expected_bytes)
        async for piece in checked(pieces):
            await spool.write(piece)
        for attempt in range(ATTEMPTS):
            try:
                return await _restore_once(agent, spool)
            except (NoLeader, Unavailable, Timeout) as error:
                log.warning("restoring a snapshot failed: attempt=%d error=%s", attempt + 1, error)
                if attempt == ATTEMPTS - 1:
                    raise
                await agent.clock.sleep(PAUSE_S)
    finally:
        spool.close()


async def _restore_once(agent: Agent, spool: Spool) -> None:
    """Here if this server leads, else where the leader is."""
    if agent.log.is_leader:
        await restore_here(agent, spool)
        return
    ticket = decode(await _ask(agent, SNAPSHOT_BEGIN, encode(spool.size)), str)
    offset = 0
    async for piece in spool.pieces():
        await _ask(agent, SNAPSHOT_WRITE, encode((ticket, offset, piece)))
        offset += len(piece)
    await _ask(agent, SNAPSHOT_RESTORE, encode(ticket), timeout_s=RESTORE_S)
