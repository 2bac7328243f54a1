"""I/O edge: saving the state as an archive and restoring one, whichever server is asked.

Source: surface rows SN1, SN2; `catalog/archive.py` for the form. A save is of the leader unless a stale one will do:
the leader keeps the archive on disk for a moment, the server that was asked fetches it piece by piece. A restore goes
the other way, once the whole of it has come in and is sound. So nobody holds an archive in memory, and a slow client
slows nobody else. Compressing runs on a thread, encoding in slices on the loop.

What may be changed: slices and pieces, with a measurement. Methods and their payloads are on the wire: append-only.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import msgspec

from meshagent import __version__
from meshagent.agent.operator_calls import at_leader
from meshagent.agent.server_calls import Method, decode, encode
from meshagent.agent.spool import PIECE_BYTES, Spool, Spools
from meshagent.catalog.archive import ArchiveMeta, ArchiveReader, ArchiveWriter
from meshagent.catalog.raft.snapshots import SnapshotId
from meshagent.errors import BadRequest, CorruptData, NoLeader, NotFound, Timeout, Unavailable

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.agent.leadership import Leadership
    from meshagent.catalog.rpc.hello import Peer

__all__ = ["Saved", "SnapshotLog", "restore", "save", "snapshot_methods"]

log = logging.getLogger("agent.server.snapshot")

SNAPSHOT_OPEN = "snapshot-open"  # since 0.1: [] -> [ticket, index, size]
SNAPSHOT_READ = "snapshot-read"  # since 0.1: [ticket, offset] -> bytes
SNAPSHOT_CLOSE = "snapshot-close"  # since 0.1: ticket -> nothing
SNAPSHOT_BEGIN = "snapshot-begin"  # since 0.1: size that is expected, or 0 -> ticket
SNAPSHOT_WRITE = "snapshot-write"  # since 0.1: [ticket, offset, bytes] -> nothing
SNAPSHOT_RESTORE = "snapshot-restore"  # since 0.1: ticket -> nothing

#: The longest the loop is held at a stretch while the state is encoded.
SLICE_S = 0.004
#: Decompressed at once before the log is given some of it.
BATCH_BYTES = 4 << 20
#: The leader makes a whole archive before it answers the first question.
PIECE_S = 600.0
#: A restore is applied everywhere before it is answered: a large one takes its time.
RESTORE_S = 3600.0
ATTEMPTS = 4
PAUSE_S = 2.0


class SnapshotLog(Protocol):
    """The part of the log that gives and takes the whole state (`RaftLog`)."""

    def save_snapshot(self) -> tuple[SnapshotId, Iterator[bytes]]:
        """The state at the moment of the call, as chunks made while iterating."""

    async def restore_snapshot(self, chunks: AsyncIterable[bytes]) -> None:
        """Replace the state on all servers, or nothing. Raises NoLeader, CorruptData, Unavailable, Conflict."""


class _Opened(msgspec.Struct, frozen=True, array_like=True):
    ticket: str
    index: int
    size: int


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
        meta, pieces = _archive(agent)
        return Saved(meta.index, contact_ms, pieces)
    opened = decode(await _ask(agent, SNAPSHOT_OPEN, b""), _Opened)
    return Saved(opened.index, 0, _fetch(agent, opened))


def _archive(agent: Agent) -> tuple[ArchiveMeta, AsyncIterator[bytes]]:
    snapshots: SnapshotLog = agent.extras["raft"]
    snapshot, chunks = snapshots.save_snapshot()
    meta = ArchiveMeta(
        index=agent.store.index,
        term=snapshot.term,
        time=agent.clock.now(),
        cluster_id=agent.store.cluster_id,
        datacenter=agent.datacenter,
        node=agent.node_name,
        release=__version__,
    )
    return meta, _pack(agent, meta, chunks)


async def _pack(agent: Agent, meta: ArchiveMeta, chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    monotonic = agent.clock.monotonic
    started = monotonic()
    writer = ArchiveWriter(meta)
    parts = [writer.begin()]
    size = 0
    more = True
    while more:
        until = monotonic() + SLICE_S
        slice_, taken, more = [], 0, False
        for chunk in chunks:
            slice_.append(chunk)
            taken += len(chunk)
            if taken >= PIECE_BYTES or monotonic() >= until:
                more = True
                break
        parts.append(await loop.run_in_executor(None, _add, writer, slice_))
        if sum(map(len, parts)) >= PIECE_BYTES or not more:
            if not more:
                parts.append(writer.end())
            piece = b"".join(parts)
            size += len(piece)
            yield piece
            parts = []
    log.info("saved a snapshot: index=%d bytes=%d seconds=%.1f", meta.index, size, monotonic() - started)


def _add(writer: ArchiveWriter, chunks: list[bytes]) -> bytes:
    return b"".join(map(writer.add, chunks))


async def _fetch(agent: Agent, opened: _Opened) -> AsyncIterator[bytes]:
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
    except NoLeader:
        return  # it is given up when it was idle for long enough


# --- restoring -----------------------------------------------------------------------------------------------------


async def restore(agent: Agent, pieces: AsyncIterator[bytes], expected_bytes: int = 0) -> None:
    """Replace the state of the cluster by that of the archive in `pieces`. Nothing changes when it is not whole.

    A large restore keeps all servers busy, and a leader may be lost over it: then it is tried again at the next one.

    Raises:
        CorruptData: it is damaged, cut short, empty, or not ours; in Consul's words.
        TooLarge: the disk has no room for it. NoLeader, Unavailable, Conflict: not now.
    """
    spool = _spools(agent).make()
    try:
        await spool.expect(expected_bytes)
        async for piece in _checked(pieces):
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
        await _restore_spool(agent, spool)
        return
    ticket = decode(await _ask(agent, SNAPSHOT_BEGIN, encode(spool.size)), str)
    offset = 0
    async for piece in spool.pieces():
        await _ask(agent, SNAPSHOT_WRITE, encode((ticket, offset, piece)))
        offset += len(piece)
    await _ask(agent, SNAPSHOT_RESTORE, encode(ticket), timeout_s=RESTORE_S)


async def _checked(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in larger pieces, read through to the end on the way. Raises CorruptData."""
    reader = ArchiveReader()
    loop = asyncio.get_running_loop()
    waiting = bytearray()
    async for piece in pieces:
        waiting += piece
        if len(waiting) >= PIECE_BYTES or not reader.size_bytes:
            ready = bytes(waiting)
            waiting.clear()
            await loop.run_in_executor(None, _read_through, reader, ready)
            yield ready
    if waiting:
        await loop.run_in_executor(None, _read_through, reader, bytes(waiting))
        yield bytes(waiting)
    reader.finish()


def _read_through(reader: ArchiveReader, piece: bytes) -> None:
    for _ in reader.feed(piece):
        pass


async def _restore_spool(agent: Agent, spool: Spool) -> None:
    snapshots: SnapshotLog = agent.extras["raft"]
    started = agent.clock.monotonic()
    log.info("restoring a snapshot: bytes=%d", spool.size)
    await snapshots.restore_snapshot(_chunks(spool))
    leadership: Leadership | None = agent.extras.get("leadership")
    if leadership is not None:
        leadership.reassert()  # registers the servers again, and what else a new leader sees to
    log.warning(
        "the state was replaced by that of a snapshot: index=%d seconds=%.1f",
        agent.store.index,
        agent.clock.monotonic() - started,
    )


async def _chunks(spool: Spool) -> AsyncIterator[bytes]:
    """The store's chunks in an archive that has been read through before."""
    loop = asyncio.get_running_loop()
    reader = ArchiveReader()
    async for piece in spool.pieces():
        found = reader.feed(piece)
        while batch := await loop.run_in_executor(None, _batch, found):
            for chunk in batch:
                yield chunk
    reader.finish()


def _batch(chunks: Iterator[bytes]) -> list[bytes]:
    batch, size = [], 0
    for chunk in chunks:
        batch.append(chunk)
        size += len(chunk)
        if size >= BATCH_BYTES:
            break
    return batch


# --- what other servers ask ----------------------------------------------------------------------------------------


def _spools(agent: Agent) -> Spools:
    spools: Spools = agent.extras["spools"]
    return spools


def snapshot_methods(agent: Agent) -> dict[str, Method]:
    """What servers ask each other for these."""

    async def open_(_: Peer, payload: bytes) -> bytes:
        _require_leader(agent)
        spool = _spools(agent).make()
        try:
            meta, pieces = _archive(agent)
            async for piece in pieces:
                await spool.write(piece)
            ticket = _spools(agent).lend(spool)
        except BaseException:
            spool.close()
            raise
        return encode(_Opened(ticket, meta.index, spool.size))

    async def read(_: Peer, payload: bytes) -> bytes:
        ticket, offset = decode(payload, tuple[str, int])
        return await _spools(agent).get(ticket).read(max(0, offset))

    async def close(_: Peer, payload: bytes) -> bytes:
        _spools(agent).drop(decode(payload, str))
        return b""

    async def begin(_: Peer, payload: bytes) -> bytes:
        _require_leader(agent)
        spool = _spools(agent).make()
        try:
            await spool.expect(decode(payload, int))
            ticket = _spools(agent).lend(spool)
        except BaseException:
            spool.close()
            raise
        return encode(ticket)

    async def write(_: Peer, payload: bytes) -> bytes:
        ticket, offset, piece = decode(payload, tuple[str, int, bytes])
        spool = _spools(agent).get(ticket)
        if offset != spool.size:
            raise BadRequest(f"a piece of the snapshot for offset {offset} came at {spool.size}")
        await spool.write(piece)
        return b""

    async def restore_(_: Peer, payload: bytes) -> bytes:
        _require_leader(agent)
        spool = _spools(agent).take(decode(payload, str))
        try:
            await _restore_spool(agent, spool)
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
