"""I/O edge: anti-entropy: what runs the comparison of `differences.py`, and writes what comes of it.

After every change at once: the changes of one turn of the loop go into the log together, so that a registration is in
the catalog and in DNS with the next turn. And in full on an interval that grows with the cluster (`scale`), with a
stagger that spreads the agents.

Source: surface rows E1-E3. What may change here: when it runs; what is written is decided in `differences.py`.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from meshagent.agent.differences import NodeRows, Outgoing, compare, node_rows, outstanding, settle
from meshagent.agent.local import LocalState
from meshagent.agent.registration import LocalCheck, LocalService, Observer
from meshagent.catalog import commands
from meshagent.catalog.store import Store
from meshagent.clock import Clock, Tasks
from meshagent.errors import Denied, MeshError

__all__ = ["AntiEntropy", "SyncSettings", "scale"]

log = logging.getLogger("agent.anti_entropy")

#: Clusters up to this size sync at the plain interval (surface row E1).
_SCALE_FROM = 128


@dataclass(frozen=True, slots=True)
class SyncSettings:
    """Seconds between full syncs, before a failed one is tried again, and within which to sync with a new server."""

    interval_s: float = 60.0
    retry_s: float = 15.0
    server_up_s: float = 3.0


def scale(members: int) -> int:
    """By how much the interval grows in a cluster of so many members: 1 up to 128, then one more at each doubling."""
    if members <= _SCALE_FROM:
        return 1
    return math.ceil(math.log2(members) - math.log2(_SCALE_FROM)) + 1


class AntiEntropy(Observer):
    """Keeps the catalog's rows of this node equal to a local state.

    `write` proposes a command and returns when it is applied; it is called for all commands of a batch in one turn of
    the loop, so that they go into the log together. `write_as` is taken instead when there is one: it is told the token
    that a command goes with, too. `members` is the size of the cluster.
    """

    def __init__(
        self,
        local: LocalState,
        store: Store,
        write: Callable[[commands.Command], Awaitable[object]],
        clock: Clock,
        rng: random.Random,
        tasks: Tasks,
        settings: SyncSettings | None = None,
        *,
        members: Callable[[], int] = lambda: 1,
        read: Callable[[], Awaitable[NodeRows]] | None = None,
        write_as: Callable[[commands.Command, str], Awaitable[object]] | None = None,
    ) -> None:
        self._local = local
        self._store = store
        self._write = write
        self._clock = clock
        self._rng = rng
        self._tasks = tasks
        self._settings = settings or SyncSettings()
        self._members = members
        self._read = read
        self._write_as = write_as
        self._runner: asyncio.Task[object] | None = None
        self._sleeper: asyncio.Task[object] | None = None
        self._wake = asyncio.Event()
        self._full_at = clock.monotonic()
        self._deferred_at: float | None = None
        self._failures = 0
        local.observe(self)

    def start(self) -> None:
        """Begin with a full sync. `trigger_full` says when there is a server to talk to."""
        if self._runner is None:
            self._runner = self._tasks.start(self._run(), name="anti-entropy")

    async def stop(self) -> None:
        """Stop; a batch that is under way is abandoned."""
        for task in (self._runner, self._sleeper):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        self._runner = self._sleeper = None

    def trigger(self) -> None:
        """Something changed: write it in the next turn of the loop, with all else that changes until then."""
        self._wake.set()

    def trigger_full(self, *, now: bool = False) -> None:
        """Compare everything soon: a server has appeared. `now` skips the stagger."""
        delay_s = 0.0 if now else self._rng.uniform(0, self._settings.server_up_s)
        self._full_at = min(self._full_at, self._clock.monotonic() + delay_s)
        self._failures = 0
        self._wake.set()

    async def sync_now(self, *, full: bool = False) -> bool:
        """One sync, now; False when no server could take it, so that it must be tried again.

        What the servers refuse is logged and left marked; it goes out again with the next sync.
        """
        if full:
            try:
                rows = await self._read() if self._read is not None else node_rows(self._store, self._local.node_name)
            except MeshError as error:
                log.warning("failed to read the catalog: %s", error)
                return False
            compare(self._local, rows)
        batch = outstanding(self._local)
        results = await asyncio.gather(*(self._written(sent) for sent in batch), return_exceptions=True)
        complete = True
        for sent, result in zip(batch, results, strict=True):
            if isinstance(result, Denied):
                log.warning("%s is blocked by ACLs; tried again at the next full sync: %s", sent, result)
                settle(self._local, sent)
            elif isinstance(result, MeshError):
                log.warning("failed to %s: %s", sent, result)
                complete = complete and not result.retryable
            elif isinstance(result, BaseException):
                raise result
            else:
                log.debug("done: %s", sent)
                settle(self._local, sent)
        return complete

    def _written(self, sent: Outgoing) -> Awaitable[object]:
        return self._write(sent.command) if self._write_as is None else self._write_as(sent.command, sent.token)

    # --- observing -----------------------------------------------------------------------------------------------

    def service_added(self, entry: LocalService) -> None:
        self.trigger()

    def service_removed(self, entry: LocalService) -> None:
        self.trigger()

    def check_added(self, entry: LocalCheck) -> None:
        self.trigger()

    def check_removed(self, entry: LocalCheck) -> None:
        self.trigger()

    def check_updated(self, entry: LocalCheck) -> None:
        at = entry.deferred_until
        if not entry.in_sync or (at is not None and (self._deferred_at is None or at < self._deferred_at)):
            self.trigger()

    # --- inside --------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            now = self._clock.monotonic()
            self._wake.clear()
            self._deferred_at = self._local.release_deferred(now)
            full = now >= self._full_at
            if full or (self._failures == 0 and not self._local.synced):
                if full:
                    self._full_at = math.inf  # a trigger that comes meanwhile counts
                try:
                    complete = await self.sync_now(full=full)
                except Exception:
                    log.exception("sync failed")
                    complete = False
                now = self._clock.monotonic()
                if not complete:
                    self._full_at = min(self._full_at, now + self._retry_s())
                elif full:
                    self._failures = 0
                    interval_s = self._settings.interval_s * scale(self._members())
                    self._full_at = min(self._full_at, now + interval_s + self._rng.uniform(0, interval_s))
            until = self._full_at if self._deferred_at is None else min(self._full_at, self._deferred_at)
            await self._wait(until - now)

    def _retry_s(self) -> float:
        """Time before the next try: short at first, because a leader is usually found soon; at most `retry_s`."""
        self._failures += 1
        delay_s: float = min(self._settings.retry_s, 0.25 * 2 ** min(self._failures - 1, 10))
        return delay_s + self._rng.uniform(0, delay_s)

    async def _wait(self, delay_s: float) -> None:
        """Return at a trigger or after `delay_s`."""
        if delay_s > 0 and not self._wake.is_set():
            self._sleeper = self._tasks.start(self._ring(delay_s), name="anti-entropy timer")
            try:
                await self._wake.wait()
            finally:
                self._sleeper.cancel()
        # The changes of this turn of the loop go into one batch.
        await asyncio.sleep(0)  # noqa: TID251  a turn of the loop is no time

    async def _ring(self, delay_s: float) -> None:
        await self._clock.sleep(delay_s)
        self._wake.set()
