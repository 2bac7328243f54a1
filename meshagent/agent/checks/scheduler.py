"""I/O edge: runs the checks of this agent: thin hands around `schedule.Schedule`.

Source: surface rows K1-K3, K5, K10-K19 and G22. One task drives all checks; a probe gets a task only while it runs.
What is due is started in slices of `SLICE_STEPS`, between which the event loop serves whoever else waits (DNS, HTTP),
and pauses are at least `LEAST_PAUSE_S`, so that many checks make no more than 100 wake-ups a second. First runs are
spread over the interval at random; the next run is due an interval after the last one ended, as in Consul, so runs
never overlap and an overloaded agent slows down evenly.

Results go to `report(check_id, status, output)`, each one: whether a change of the output alone is worth a write to the
catalog is decided by anti-entropy (`check_update_interval`).

What may be changed here: `report` is never called for a check after `remove`, and nothing that a target does ends the
life of its check.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from functools import partial

from meshagent.agent.checks.alias import REFRESH_S, AliasSource, look
from meshagent.agent.checks.definition import Definition
from meshagent.agent.checks.dial import Dialer
from meshagent.agent.checks.os_service import SystemBus
from meshagent.agent.checks.output import effective_max_size
from meshagent.agent.checks.probe import CRITICAL, CheckSettings, Outcome, Probe, ProbeFailed, Tools, critical
from meshagent.agent.checks.schedule import Entry, Lane, Schedule
from meshagent.agent.checks.status import Counters, Thresholds, step
from meshagent.agent.checks.table import CHECK_TYPES, CheckType
from meshagent.agent.checks.tls import TlsContexts
from meshagent.agent.checks.ttl import TtlMachine
from meshagent.clock import Clock, Tasks
from meshagent.errors import InternalError

__all__ = ["LEAST_PAUSE_S", "MIN_INTERVAL_S", "SLICE_STEPS", "CheckRunner"]

log = logging.getLogger("agent")

#: Consul raises shorter intervals to this (K1).
MIN_INTERVAL_S = 1.0
#: Sixteen connections begun, or one program started: 1-2 ms.
SLICE_STEPS = 16
LEAST_PAUSE_S = 0.01

Report = Callable[[str, str, str], None]


class _Check:
    """One check in the care of the runner."""

    __slots__ = ("counters", "definition", "entry", "id", "interval_s", "probe", "status", "task", "thresholds", "ttl")

    def __init__(self, check_id: str, definition: Definition, interval_s: float, status: str) -> None:
        self.id = check_id
        self.definition = definition
        self.interval_s = interval_s
        self.status = status
        self.thresholds = Thresholds.of(definition)
        self.counters = Counters.start(self.thresholds)
        self.probe: Probe | None = None
        self.ttl: TtlMachine | None = None
        self.task: asyncio.Task[None] | None = None
        self.entry: Entry[_Check]


class CheckRunner:
    """All checks of one agent."""

    def __init__(
        self,
        *,
        clock: Clock,
        rng: random.Random,
        tasks: Tasks,
        report: Report,
        config: CheckSettings,
        aliased: AliasSource | None = None,
    ) -> None:
        self._clock = clock
        self._rng = rng
        self._tasks = tasks
        self._report = report
        self._aliased = aliased
        self._settings = config
        self._tls = TlsContexts(config.agent_tls)
        self._bus = SystemBus()
        self._tools = Tools(Dialer(clock=clock, tasks=tasks, tls=self._tls), self._bus, config)
        self._schedule: Schedule[_Check] = Schedule(
            {Lane.SOCKET: config.max_socket_probes, Lane.PROCESS: config.max_process_probes}
        )
        self._checks: dict[str, _Check] = {}
        self._aliases: dict[str, dict[str, set[Entry[_Check]]]] = {}  # node -> service id -> alias checks
        self._driver: asyncio.Task[None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._changed = False

    def __contains__(self, check_id: object) -> bool:
        return check_id in self._checks

    def __len__(self) -> int:
        return len(self._checks)

    def __bool__(self) -> bool:
        return True  # a runner without checks is a runner

    def add(self, check_id: str, definition: Definition, *, status: str = CRITICAL, output: str = "") -> None:
        """Take care of a check from now on; one of the same id is replaced.

        `status` and `output` are what it was registered or restored with.

        Raises:
            InternalError: there is no such type of check.
        """
        row = CHECK_TYPES.get(definition.kind)
        if row is None:
            raise InternalError("Check type is not valid")
        self.remove(check_id)
        now = self._clock.monotonic()
        interval_s = definition.interval
        if row.prepare is not None and interval_s < MIN_INTERVAL_S:
            log.warning("Check has interval below minimum: check=%s minimum_interval=1s", check_id)
            interval_s = MIN_INTERVAL_S
        check = _Check(check_id, definition, interval_s, status)
        check.entry = self._schedule.add(check, row.lane, self._first_due(check, row, output, now))
        self._checks[check_id] = check
        if row.kind == "alias":
            services = self._aliases.setdefault(definition.alias_node, {})
            services.setdefault(definition.alias_service, set()).add(check.entry)
        if self._driver is None:
            self._driver = self._tasks.start(self._drive(), name="checks")
        self._wake()

    def remove(self, check_id: str) -> None:
        """Forget a check; a run under way is ended and not reported."""
        check = self._checks.pop(check_id, None)
        if check is None:
            return
        self._schedule.remove(check.entry)
        if check.definition.kind == "alias":
            services = self._aliases[check.definition.alias_node]
            services[check.definition.alias_service].discard(check.entry)
            if not services[check.definition.alias_service]:
                del services[check.definition.alias_service]
        if check.task is not None:
            check.task.cancel()

    def ttl_update(self, check_id: str, status: str, output: str) -> str:
        """The service behind a TTL check spoke (A16, A17). Returns the output as kept, for `checks/state/`.

        Raises:
            InternalError: there is no such check, or it has no TTL.
        """
        check = self._checks.get(check_id)
        if check is None or check.ttl is None:
            raise InternalError(f'CheckID "{check_id}" does not have associated TTL')
        max_bytes = effective_max_size(self._settings.output_max_size, check.definition.output_max_size)
        outcome = check.ttl.update(status, output, max_bytes, self._clock.monotonic())
        assert check.ttl.deadline is not None  # noqa: S101 - an update sets it
        self._schedule.move(check.entry, check.ttl.deadline)
        self._wake()
        self._publish(check, outcome)
        return outcome.output

    def aliased_changed(self, node: str = "", service_id: str = "") -> None:
        """A check of `service_id` changed on `node` ("" = this agent), or with "" a check of the node itself."""
        services = self._aliases.get(node)
        if not services:
            return
        now = self._clock.monotonic()
        for entries in list(services.values()) if not service_id else [services.get(service_id, set())]:
            for entry in entries:
                self._schedule.move(entry, now)
        self._wake()

    def configure(self, config: CheckSettings) -> None:
        """Take changed options, and certificates whose files changed; limits of what is in flight stay."""
        self._settings = config
        self._tls = TlsContexts(config.agent_tls)
        self._tools = Tools(Dialer(clock=self._clock, tasks=self._tasks, tls=self._tls), self._bus, config)
        for check in self._checks.values():
            check.probe = None

    def stop(self) -> None:
        """End everything, also what is running."""
        for check_id in list(self._checks):
            self.remove(check_id)
        if self._driver is not None:
            self._driver.cancel()
            self._driver = None
        self._bus.close()

    def _first_due(self, check: _Check, row: CheckType, output: str, now: float) -> float:
        if row.kind == "ttl":
            check.ttl = TtlMachine(check.definition.ttl, now, output)
            return now + check.definition.ttl
        if row.kind == "alias":
            return now
        return now + self._rng.random() * check.interval_s

    # driving

    async def _drive(self) -> None:
        while True:
            self._changed = False
            started = self._schedule.take(self._clock.monotonic(), SLICE_STEPS)
            for entry in started.entries:
                try:
                    self._start(entry.key)
                except Exception:  # the outermost loop: one check must not end all others
                    log.exception("Check failed to start: check=%s", entry.key.id)
            if started.more:
                await self._clock.sleep(0)
            elif not self._changed:
                await self._pause(self._schedule.next_due())

    async def _pause(self, due: float | None) -> None:
        """Until `due`, or until something changes."""
        waiter = self._waiter = asyncio.get_running_loop().create_future()
        sleeper = None
        if due is not None:
            delay_s = max(due - self._clock.monotonic(), LEAST_PAUSE_S)
            sleeper = self._tasks.start(self._clock.sleep(delay_s), name="checks.pause")
            # Its own waiter only: a cancelled sleeper must not wake the pause that follows.
            sleeper.add_done_callback(lambda _: _resolve(waiter))
        try:
            await waiter
        finally:
            self._waiter = None
            if sleeper is not None:
                sleeper.cancel()

    def _wake(self) -> None:
        self._changed = True
        if self._waiter is not None:
            _resolve(self._waiter)

    def _start(self, check: _Check) -> None:
        if check.entry.removed:  # by the report of one that started before it
            self._schedule.finish(check.entry, None)
            return
        now = self._clock.monotonic()
        if check.ttl is not None:
            expired = check.ttl.expire(now)
            self._schedule.finish(check.entry, check.ttl.deadline)
            if expired is not None:
                log.warning("Check missed TTL, is now critical: check=%s", check.id)
                check.status = expired.status  # said
                self._publish(check, expired)
        elif check.definition.kind == "alias":
            self._schedule.finish(check.entry, now + REFRESH_S)
            if self._aliased is not None:
                self._publish(check, look(self._aliased, check.id, check.definition))
        else:
            check.task = self._tasks.start(self._probe(check), name=f"check {check.id}")
            check.task.add_done_callback(partial(self._ended, check))

    async def _probe(self, check: _Check) -> None:
        try:
            if check.probe is None:
                prepare = CHECK_TYPES[check.definition.kind].prepare
                assert prepare is not None  # noqa: S101 - the others are not probed
                check.probe = prepare(check.definition, self._tools)
            outcome = await check.probe()
        except ProbeFailed as error:
            outcome = critical(str(error))
        except Exception as error:  # the outermost loop: a fault of ours must not end the check
            log.exception("Check failed to run: check=%s", check.id)
            outcome = critical(f"internal error: {error!r}")
        if check.entry.removed:
            return
        check.counters, status = step(check.thresholds, check.counters, outcome.status)
        if status is not None:
            self._publish(check, Outcome(status, outcome.output))
        if outcome.lingering is not None:
            await outcome.lingering.wait()

    def _ended(self, check: _Check, _: asyncio.Task[None]) -> None:
        check.task = None
        due = self._clock.monotonic() + check.interval_s
        if self._schedule.finish(check.entry, due):
            self._wake()
        elif self._waiter is not None and self._schedule.next_due() == due:
            self._wake()  # nothing was due before this one

    def _publish(self, check: _Check, outcome: Outcome) -> None:
        if outcome.status != check.status:
            check.status = outcome.status
            if outcome.status == CRITICAL:
                log.warning("Check is now critical: check=%s", check.id)
            else:
                log.info("Check status updated: check=%s status=%s", check.id, outcome.status)
        self._report(check.id, outcome.status, "" if self._settings.discard_check_output else outcome.output)


def _resolve(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
