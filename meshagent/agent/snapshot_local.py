"""I/O edge: this server's state packed as an archive, and an archive checked and unpacked into the log.

Source: surface rows SN1, SN2; `catalog/archive.py` for the form. Compressing runs on a thread, encoding in slices on
the loop. What may be changed: slices and batches, with a measurement (tests/agent/measure_snapshots.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from typing import TYPE_CHECKING, Protocol

from meshagent import __version__
from meshagent.agent.spool import PIECE_BYTES, Spool
from meshagent.catalog.archive import ArchiveMeta, ArchiveReader, ArchiveWriter

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.agent.leadership import Leadership
    from meshagent.catalog.raft.snapshots import SnapshotId

__all__ = ["SnapshotLog", "checked", "pack", "restore_here"]

log = logging.getLogger("agent.server.snapshot")

#: The longest the loop is held at a stretch while the state is encoded.
SLICE_S = 0.004
#: Decompressed at once before the log is given some of it.
BATCH_BYTES = 4 << 20


class SnapshotLog(Protocol):
    """The part of the log that gives and takes the whole state (`RaftLog`)."""

    def save_snapshot(self) -> tuple[SnapshotId, Iterator[bytes]]:
        """The state at the moment of the call, as chunks made while iterating."""

    async def restore_snapshot(self, chunks: AsyncIterable[bytes]) -> None:
        """Replace the state on all servers, or nothing. Raises NoLeader, CorruptData, Unavailable, Conflict."""


def pack(agent: Agent) -> tuple[ArchiveMeta, AsyncIterator[bytes]]:
    """The state at the moment of the call: what it is, and the pieces of its archive."""
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


async def checked(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
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


async def restore_here(agent: Agent, spool: Spool) -> None:
    """Have the log, which must lead, replace the state by that of a checked archive. Raises as `restore_snapshot`."""
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
