"""A replicated log for tests: a state machine that shows what was applied, and a disk thread that is none."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from meshagent.catalog.raft.journal import FileJournal
from meshagent.catalog.raft.replica import RaftLog
from meshagent.catalog.raft.settings import RaftSettings
from meshagent.clock import Clock, VirtualClock
from meshagent.errors import Conflict, CorruptData
from meshtest.disk import Crash, SimDisk

SMALL = RaftSettings(
    segment_bytes=2048, reserve_bytes=512, trailing_logs=20, snapshot_threshold=50, max_entry_commands=8
)


class History:
    """Keeps every command, in order. The command b"refuse" is refused, b"bug" fails."""

    def __init__(self) -> None:
        self.commands: list[bytes] = []
        self.flushes = 0

    def apply(self, command: bytes) -> int:
        if command == b"refuse":
            raise Conflict("refused")
        if command == b"bug":
            raise ZeroDivisionError
        self.commands.append(command)
        return len(self.commands)

    def flush(self) -> None:
        self.flushes += 1

    def snapshot(self) -> Iterator[bytes]:
        return iter(list(self.commands))

    def restore(self, chunks: Iterable[bytes]) -> None:
        commands = list(chunks)
        if b"damaged" in commands:
            raise CorruptData("damaged")
        self.commands = commands


class InlineWorker:
    """Does the job at once and tells the loop in its next turn. A job that meets the crash is never heard of again."""

    def __init__(self) -> None:
        self.crashed = False

    def submit(self, job: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        if self.crashed:
            return
        try:
            result = job()
        except Crash:
            self.crashed = True
        except Exception as error:
            asyncio.get_running_loop().call_soon(done, None, error)
        else:
            asyncio.get_running_loop().call_soon(done, result, None)

    def stop(self) -> None:
        return


class HeldWorker:
    """Does a job only when told to: `step()`."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Callable[[], Any], Callable[[Any, BaseException | None], None]]] = []

    def submit(self, job: Callable[[], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        self.jobs.append((job, done))

    def step(self) -> None:
        job, done = self.jobs.pop(0)
        try:
            result = job()
        except Exception as error:
            done(None, error)
        else:
            done(result, None)

    def stop(self) -> None:
        return


def open_on(
    disk: SimDisk,
    machine: Any,
    *,
    settings: RaftSettings = SMALL,
    clock: Clock | None = None,
    worker: Any = None,
    window_bytes: int = 1024,
    metrics: Any = None,
) -> RaftLog:
    """The log of a server alone on a simulated disk."""
    worker = worker or InlineWorker()
    return RaftLog(
        machine,
        node_id="node-1",
        address="127.0.0.1:8300",
        journal=FileJournal(
            disk,
            worker,
            segment_bytes=settings.segment_bytes,
            reserve_bytes=settings.reserve_bytes,
            window_bytes=window_bytes,
        ),
        clock=clock or VirtualClock(),
        rng=random.Random(1),
        settings=settings,
        snapshot_worker=worker if isinstance(worker, InlineWorker) else InlineWorker(),
        metrics=metrics,
    )


async def turns(count: int = 12) -> None:
    """Let the loop come round."""
    for _ in range(count):
        await asyncio.sleep(0)
