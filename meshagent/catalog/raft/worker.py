"""I/O edge: the thread on which the disk is waited for.

Source: measured. A thread that comes back from the kernel needs the interpreter lock, and a busy event loop gives it
up only for the moment of each poll: too short for the thread to wake. With a loop kept busy by readers, one
fdatasync of 0.2 ms took 0.8 s to be noticed. So while a job is under way the loop sleeps a few microseconds once a
millisecond (`GIVE_WAY_*`), which lets the thread in; an idle loop waits in poll and costs nothing.

What may be changed: the numbers, with `tests/catalog/raft/measure.py --readers 4` as the judge.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

__all__ = ["ThreadWorker", "Worker", "run"]

GIVE_WAY_AFTER_S = 0.001
GIVE_WAY_FOR_S = 0.00002

T = TypeVar("T")
Done = Callable[[Any, BaseException | None], None]


class Worker(Protocol):
    """Runs jobs one after the other, away from the loop."""

    def submit(self, job: Callable[[], Any], done: Done) -> None:
        """Run `job`, then, on the loop, `done(result, None)` or `done(None, error)`."""

    def stop(self) -> None:
        """Finish what was submitted and end."""


async def run(worker: Worker, job: Callable[[], T]) -> T:
    """The result of `job`, run by `worker`."""
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def done(result: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)

    worker.submit(job, done)
    return await future


class ThreadWorker:
    """One thread, started with the first job."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, name: str) -> None:
        self._loop = loop
        self._name = name
        self._queue: queue.SimpleQueue[tuple[Callable[[], Any], Done] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._under_way = 0
        self._timer: asyncio.TimerHandle | None = None

    def submit(self, job: Callable[[], Any], done: Done) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        self._under_way += 1
        if self._timer is None:
            self._timer = self._loop.call_later(GIVE_WAY_AFTER_S, self._give_way)
        self._queue.put((job, done))

    def stop(self) -> None:
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            job, done = item
            result, error = None, None
            try:
                result = job()
            except BaseException as caught:  # it belongs to whoever asked, whatever it is
                error = caught
            try:
                self._loop.call_soon_threadsafe(self._finished, done, result, error)
            except RuntimeError:  # the loop is closed: nobody waits any more
                return

    def _finished(self, done: Done, result: Any, error: BaseException | None) -> None:
        self._under_way -= 1
        done(result, error)

    def _give_way(self) -> None:
        self._timer = None
        if self._under_way:
            time.sleep(GIVE_WAY_FOR_S)  # noqa: TID251 (lets the thread take the interpreter lock; see above)
            self._timer = self._loop.call_later(GIVE_WAY_AFTER_S, self._give_way)
