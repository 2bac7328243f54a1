"""Anti-entropy: what must be written so that the catalog says of this node what its agent says.

Two pure steps, `compare` (local state against the catalog's rows of this node: marks what differs) and `outstanding`
(what is marked, as commands), and the driver that runs them: after every change at once (the changes of one turn of
the loop go together), and in full on an interval.

Source: surface rows E1-E3, O7, K5. The interval grows with the cluster by `scale`; a stagger spreads the agents. What
may change here: which rows another part of the system owns (`_OWNED_*`). No HTTP, no files.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec

from meshagent.agent.local import LocalState
from meshagent.agent.registration import LocalCheck, LocalService, Observer
from meshagent.catalog import commands, queries
from meshagent.catalog.model import Check, Node, Service
from meshagent.catalog.store import Store
from meshagent.clock import Clock, Tasks
from meshagent.errors import Denied, MeshError

__all__ = ["AntiEntropy", "NodeRows", "Outgoing", "SyncSettings", "compare", "node_rows", "outstanding", "scale"]

log = logging.getLogger("agent.anti_entropy")

#: The leader keeps these for every server and member (surface rows O7, E4); an agent neither writes nor removes them.
_OWNED_SERVICES = frozenset({"consul"})
_OWNED_CHECKS = frozenset({"serfhealth"})

#: Clusters up to this size sync at the plain interval (surface row E1).
_SCALE_FROM = 128


@dataclass(frozen=True, slots=True)
class SyncSettings:
    """Seconds between full syncs, before a failed one is tried again, and within which to sync with a new server."""

    interval_s: float = 60.0
    retry_s: float = 15.0
    server_up_s: float = 3.0


@dataclass(frozen=True, slots=True)
class NodeRows:
    """What the catalog holds of one node."""

    node: Node | None = None
    services: tuple[Service, ...] = ()
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A command, the token it goes with, and what it settles: rows sent as they were, ids to be forgotten."""

    command: commands.Register | commands.Deregister
    token: str
    node: Node | None = None
    services: tuple[tuple[LocalService, Service], ...] = ()
    checks: tuple[tuple[LocalCheck, Check], ...] = ()
    gone_service: str = ""
    gone_check: str = ""

    def __str__(self) -> str:
        if self.gone_service:
            return f"deregister service {self.gone_service!r}"
        if self.gone_check:
            return f"deregister check {self.gone_check!r}"
        names = [f"service {row.id!r}" for _, row in self.services] + [
            f"check {row.check_id!r}" for _, row in self.checks
        ]
        return "sync " + (", ".join(names) or "node info")


def node_rows(store: Store, node: str) -> NodeRows:
    """The rows of a node in a store."""
    found = queries.node_services(store, node).rows
    if found is None:
        return NodeRows()
    return NodeRows(found[0], tuple(found[1]), tuple(queries.health_node(store, node).rows))


def scale(members: int) -> int:
    """By how much the interval grows in a cluster of so many members: 1 up to 128, then one more at each doubling."""
    if members <= _SCALE_FROM:
        return 1
    return math.ceil(math.log2(members) - math.log2(_SCALE_FROM)) + 1


def compare(local: LocalState, catalog: NodeRows) -> None:
    """Mark everything that differs as to be written, and everything the agent does not know as to be forgotten."""
    local.node_in_sync = catalog.node is not None and _same_node(local.node, catalog.node)
    services = {row.id.lower(): row for row in catalog.services}
    for service_id, service in local.services.items():
        row = services.pop(service_id.lower(), None)
        if row is not None:
            local.take_back(service_id, row)
        service.in_sync = row is not None and _same_service(service.service, row)
    checks = {row.check_id.lower(): row for row in catalog.checks}
    for check_id, check in local.checks.items():
        held = checks.pop(check_id.lower(), None)
        check.in_sync = held is not None and _same_check(check, held)
    local.gone.services = {
        row.id: local.gone.services.get(row.id, "") for key, row in services.items() if key not in _OWNED_SERVICES
    }
    local.gone.checks = {
        row.check_id: local.gone.checks.get(row.check_id, "")
        for key, row in checks.items()
        if key not in _OWNED_CHECKS
        and row.service_id not in local.gone.services
        and row.service_id.lower() not in _OWNED_SERVICES
    }


def _same_node(local: Node, row: Node) -> bool:
    return (
        local.id == row.id
        and local.address == row.address
        and (local.tagged_addresses or {}) == (row.tagged_addresses or {})
        and (local.meta or {}) == (row.meta or {})
        and local.locality == row.locality
    )


def _same_service(local: Service, row: Service) -> bool:
    return local == msgspec.structs.replace(row, create_index=local.create_index, modify_index=local.modify_index)


def _same_check(local: LocalCheck, row: Check) -> bool:
    """Name and tags of the service are the store's to fill; an output that waits its turn does not count."""
    mine = local.check
    return mine == msgspec.structs.replace(
        row,
        node=mine.node,
        service_name=mine.service_name,
        service_tags=mine.service_tags,
        output=mine.output if local.deferred_until is not None else row.output,
        create_index=mine.create_index,
        modify_index=mine.modify_index,
    )


def outstanding(local: LocalState) -> list[Outgoing]:
    """What the catalog must be told, in order: the node, what is gone, services with their checks, other checks."""
    node = local.node
    name = local.node_name
    out: list[Outgoing] = []
    if not local.node_in_sync:
        out.append(Outgoing(commands.Register(node), "", node=node))
    for service_id, token in local.gone.services.items():
        out.append(Outgoing(commands.Deregister(name, service_id=service_id), token, gone_service=service_id))
    for check_id, token in local.gone.checks.items():
        out.append(Outgoing(commands.Deregister(name, check_id=check_id), token, gone_check=check_id))
    loose = {check_id: entry for check_id, entry in sorted(local.checks.items()) if not entry.in_sync}
    for service in local.services.values():
        if service.in_sync:
            continue
        row = service.service
        with_it = [
            entry for entry in loose.values() if entry.check.service_id == row.id and entry.token == service.token
        ]
        for entry in with_it:
            del loose[entry.check.check_id]
        checks = tuple((entry, entry.check) for entry in with_it)
        command = commands.Register(node, row, tuple(check for _, check in checks), skip_node_update=True)
        out.append(Outgoing(command, service.token, services=((service, row),), checks=checks))
    for entry in loose.values():
        check = entry.check
        command = commands.Register(node, None, (check,), skip_node_update=True)
        out.append(Outgoing(command, entry.token, checks=((entry, check),)))
    return out


def settle(local: LocalState, sent: Outgoing) -> None:
    """The catalog has taken `sent`; what changed here in the meantime stays marked."""
    if sent.node is not None and sent.node is local.node:
        local.node_in_sync = True
    for service, row in sent.services:
        if service.service is row:
            service.in_sync = True
    for entry, check in sent.checks:
        if entry.check is check:
            entry.in_sync = True
    if sent.gone_service and sent.gone_service not in local.services:
        local.gone.services.pop(sent.gone_service, None)
        local.gone.checks_of.pop(sent.gone_service, None)
    if sent.gone_check and sent.gone_check not in local.checks:
        local.gone.checks.pop(sent.gone_check, None)


class AntiEntropy(Observer):
    """Keeps the catalog's rows of this node equal to a local state.

    `write` proposes a command and returns when it is applied; it is called for all commands of a batch in one turn of
    the loop, so that they go into the log together. `members` is the size of the cluster.
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
        results = await asyncio.gather(*(self._write(sent.command) for sent in batch), return_exceptions=True)
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
                try:
                    complete = await self.sync_now(full=full)
                except Exception:
                    log.exception("sync failed")
                    complete = False
                now = self._clock.monotonic()
                if not complete:
                    self._full_at = now + self._retry_s()
                elif full:
                    self._failures = 0
                    interval_s = self._settings.interval_s * scale(self._members())
                    self._full_at = now + interval_s + self._rng.uniform(0, interval_s)
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
