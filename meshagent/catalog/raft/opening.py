"""I/O edge: the log of a server, opened where its data are.

Source: surface rows G4, G7. Without a data directory (`-dev`) the log is in memory.

What may be changed: how much of the log stays in memory and on disk behind what was applied.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable
from pathlib import Path

from meshagent.catalog.log import StateMachine
from meshagent.catalog.raft.disk import Disk, FileDisk
from meshagent.catalog.raft.journal import WINDOW_BYTES, FileJournal, Journal, MemoryJournal
from meshagent.catalog.raft.replica import RaftLog
from meshagent.catalog.raft.settings import RaftSettings
from meshagent.catalog.raft.telemetry import RaftMetrics
from meshagent.catalog.raft.transport import Transport
from meshagent.catalog.raft.worker import ThreadWorker
from meshagent.clock import Clock

__all__ = ["open_raft_log"]

ALONE_WINDOW_BYTES = 256 << 10  # nobody asks for old entries where there are no peers


def open_raft_log(
    machine: StateMachine,
    data_dir: Path | None,
    *,
    node_id: str,
    address: str,
    clock: Clock,
    rng: random.Random,
    settings: RaftSettings | None = None,
    metrics: RaftMetrics | None = None,
    open_disk: Callable[[Path], Disk] = FileDisk,
    transport: Transport | None = None,
    peers: dict[str, str] | None = None,
    joins: bool = False,
) -> RaftLog:
    """The log in `data_dir`/raft, or in memory when there is no data directory (`-dev`).

    Without `transport` the server is alone; `peers` and `joins` as in `RaftLog`.

    Call it on the running loop. Raises Unavailable when another process holds the directory.
    """
    settings = settings or RaftSettings()
    journal: Journal
    window_bytes = ALONE_WINDOW_BYTES if transport is None else WINDOW_BYTES
    if data_dir is None:
        journal = MemoryJournal(window_bytes=window_bytes)
    else:
        journal = FileJournal(
            open_disk(data_dir / "raft"),
            ThreadWorker(asyncio.get_running_loop(), name="raft-journal"),
            segment_bytes=settings.segment_bytes,
            reserve_bytes=settings.reserve_bytes,
            window_bytes=window_bytes,
            kept_bytes=0 if transport is None else settings.kept_log_bytes,
            new_incarnation=int.from_bytes(os.urandom(8), "big") >> 2 or 1,
        )
    return RaftLog(
        machine,
        node_id=node_id,
        address=address,
        journal=journal,
        clock=clock,
        rng=rng,
        settings=settings,
        metrics=metrics,
        transport=transport,
        peers=peers,
        joins=joins,
        stays_alone=data_dir is None,
    )
