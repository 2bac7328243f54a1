"""I/O edge: what servers ask each other to save and restore the whole state: an archive goes over piece by piece.

Source: surface rows SN1, SN2; `snapshots.py` asks. The archive lies on the leader's disk meanwhile, under a ticket.

What may be changed: methods and their payloads are on the wire: append-only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from meshagent.agent.server_calls import Method, decode, encode
from meshagent.agent.snapshot_local import pack, restore_here
from meshagent.agent.spool import Spools
from meshagent.errors import BadRequest, NoLeader

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.catalog.rpc.hello import Peer

__all__ = [
    "SNAPSHOT_BEGIN",
    "SNAPSHOT_CLOSE",
    "SNAPSHOT_OPEN",
    "SNAPSHOT_READ",
    "SNAPSHOT_RESTORE",
    "SNAPSHOT_WRITE",
    "Opened",
    "snapshot_methods",
    "spools",
]

SNAPSHOT_OPEN = "snapshot-open"  # since 0.1: [] -> [ticket, index, size]
SNAPSHOT_READ = "snapshot-read"  # since 0.1: [ticket, offset] -> bytes
SNAPSHOT_CLOSE = "snapshot-close"  # since 0.1: ticket -> nothing
SNAPSHOT_BEGIN = "snapshot-begin"  # since 0.1: size that is expected, or 0 -> ticket
SNAPSHOT_WRITE = "snapshot-write"  # since 0.1: [ticket, offset, bytes] -> nothing
SNAPSHOT_RESTORE = "snapshot-restore"  # since 0.1: ticket -> nothing


class Opened(msgspec.Struct, frozen=True, array_like=True):
    """An archive that lies ready. `index` is the state's."""

    ticket: str
    index: int
    size: int


def spools(agent: Agent) -> Spools:
    """Where this server keeps large bodies meanwhile."""
    found: Spools = agent.extras["spools"]
    return found


def snapshot_methods(agent: Agent) -> dict[str, Method]:
    """What servers ask each other for these."""

    async def open_(_: Peer, payload: bytes) -> bytes:
        _require_leader(agent)
        spool = spools(agent).make()
        try:
            meta, pieces = pack(agent)
            async for piece in pieces:
                await spool.write(piece)
            ticket = spools(agent).lend(spool)
        except BaseException:
            spool.close()
            raise
        return encode(Opened(ticket, meta.index, spool.size))

    async def read(_: Peer, payload: bytes) -> bytes:
        ticket, offset = decode(payload, tuple[str, int])
        return await spools(agent).get(ticket).read(max(0, offset))

    async def close(_: Peer, payload: bytes) -> bytes:
        spools(agent).drop(decode(payload, str))
        return b""

    async def begin(_: Peer, payload: bytes) -> bytes:
        _require_leader(agent)
        spool = spools(agent).make()
        try:
            await spool.expect(decode(payload, int))
            ticket = spools(agent).lend(spool)
        except BaseException:
            spool.close()
            raise
        return encode(ticket)

    async def write(_: Peer, payload: bytes) -> bytes:
        ticket, offset, piece = decode(payload, tuple[str, int, bytes])
        spool = spools(agent).get(ticket)
        if offset != spool.size:
            raise BadRequest(f"a piece of the snapshot for offset {offset} came at {spool.size}")
        await spool.write(piece)
        return b""

    async def restore_(_: Peer, payload: bytes) -> bytes:
        _require_leader(agent)
        spool = spools(agent).take(decode(payload, str))
        try:
            await restore_here(agent, spool)
        finally:
            spool.close()
        return b""

    return {
        SNAPSHOT_OPEN: open_,
        SNAPSHOT_READ: read,
        SNAPSHOT_CLOSE: close,
        SNAPSHOT_BEGIN: begin,
        SNAPSHOT_WRITE: write,
        SNAPSHOT_RESTORE: restore_,
    }


def _require_leader(agent: Agent) -> None:
    if not agent.log.is_leader:
        raise NoLeader
