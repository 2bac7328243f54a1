import asyncio
import itertools
import logging
import random
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from meshagent.agent.checks.alias import AliasedHealth
from meshagent.agent.checks.probe import CheckSettings, Outcome, ProbeFailed
from meshagent.agent.checks.schedule import Lane
from meshagent.agent.checks.scheduler import CheckRunner
from meshagent.agent.checks.table import CHECK_TYPES, CheckType
from meshagent.clock import SystemClock, Tasks, VirtualClock
from meshagent.errors import InternalError


class Probes:
    """Stands in for a type of check: what each check answers, and a record of its runs."""

    def __init__(self, clock):
        self.clock = clock
        self.lasts = {}
        self.answers = {}
        self.started = []
        self.running = self.most = 0
        self.prepared = []

    def prepare(self, definition, tools):
        name = definition.http or definition.args[0]
        self.prepared.append((name, tools.settings.output_max_size))
        if name == "unpreparable":
            raise ProbeFailed("it never can")

        async def probe():
            self.started.append((name, self.clock.monotonic()))
            self.running += 1
            self.most = max(self.most, self.running)
            try:
                if name in self.lasts:
                    await self.clock.sleep(self.lasts[name])
            finally:
                self.running -= 1
            answer = self.answers.get(name, Outcome("passing", "ok"))
            if isinstance(answer, list):
                answer = answer.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return probe

    def times(self, name):
        return [at for started, at in self.started if started == name]


@pytest.fixture
async def stage(define, monkeypatch):
    """A runner on virtual time with fake probes of kind http (lane of sockets) and script (lane of programs)."""
    clock, tasks = VirtualClock(), Tasks()
    probes = Probes(clock)
    for kind, lane in (("http", Lane.SOCKET), ("script", Lane.PROCESS)):
        monkeypatch.setitem(CHECK_TYPES, kind, CheckType(kind, lane, probes.prepare, "", {}))
    reports = []

    def report(check_id, status, output):
        reports.append((round(clock.monotonic(), 3), check_id, status, output))

    aliased = {}

    def make(**settings):
        return CheckRunner(
            clock=clock,
            rng=random.Random(1),
            tasks=tasks,
            report=report,
            config=CheckSettings(**settings),
            aliased=lambda node, service_id: AliasedHealth(aliased.get((node, service_id), ()), True),
        )

    made = SimpleNamespace(
        runner=make(), make=make, clock=clock, probes=probes, reports=reports, tasks=tasks, aliased=aliased
    )

    def add(name, *, runner=None, kind="http", status="critical", output="", **fields):
        asked = {"http": {"http": name}, "script": {"args": (name,)}}.get(kind, {})
        (runner or made.runner).add(name, define(kind, **asked, **fields), status=status, output=output)

    made.add = add
    yield made
    await tasks.cancel()


async def test_first_run_within_the_interval_then_every_interval(stage):
    """K2"""
    stage.add("web", interval=10.0)
    await stage.clock.advance(35.0)
    times = stage.probes.times("web")
    assert 0 <= times[0] < 10
    assert len(times) == 3 or len(times) == 4
    gaps = [b - a for a, b in itertools.pairwise(times)]
    assert all(9.999 <= gap <= 10.02 for gap in gaps)
    assert {report[1:] for report in stage.reports} == {("web", "passing", "ok")}


async def test_runs_never_overlap(stage):
    """K2: the next run is due an interval after the last one ended."""
    stage.probes.lasts["slow"] = 25.0
    stage.add("slow", interval=10.0)
    await stage.clock.advance(100.0)
    times = stage.probes.times("slow")
    assert stage.probes.most == 1
    assert all(35.0 <= b - a <= 35.1 for a, b in itertools.pairwise(times))


async def test_short_intervals_are_raised_to_a_second(stage, caplog):
    """K1"""
    stage.add("web", interval=0.01)
    assert "Check has interval below minimum: check=web minimum_interval=1s" in caplog.text
    await stage.clock.advance(10.0)
    assert 9 <= len(stage.probes.times("web")) <= 10


async def test_every_result_is_reported_and_thresholds_hold(stage):
    """K3"""
    stage.probes.answers["web"] = [Outcome(s, s) for s in ("passing", "critical", "critical", "critical", "passing")]
    stage.add("web", interval=1.0, failures_before_critical=3, failures_before_warning=2)
    await stage.clock.advance(5.05)
    assert [report[2:] for report in stage.reports][:4] == [
        ("passing", "passing"),
        ("warning", "critical"),
        ("critical", "critical"),
        ("passing", "passing"),
    ]


async def test_a_fault_of_a_probe_does_not_end_its_check(stage, caplog):
    stage.probes.answers["web"] = [ZeroDivisionError("x"), ProbeFailed("known"), Outcome("passing", "ok")]
    stage.add("web", interval=1.0)
    await stage.clock.advance(3.1)
    assert [report[2:] for report in stage.reports] == [
        ("critical", "internal error: ZeroDivisionError('x')"),
        ("critical", "known"),
        ("passing", "ok"),
    ]
    assert [r.levelno for r in caplog.records if "failed to run" in r.message] == [logging.ERROR]


async def test_what_can_never_run_is_critical_each_time(stage):
    stage.add("unpreparable", interval=1.0)
    await stage.clock.advance(2.1)
    assert [report[2:] for report in stage.reports] == [("critical", "it never can")] * 2


async def test_a_removed_check_is_not_reported_any_more(stage):
    stage.probes.lasts["web"] = 5.0
    stage.add("web", interval=1.0)
    await stage.clock.advance(2.0)
    assert stage.probes.running == 1
    stage.runner.remove("web")
    stage.runner.remove("web")
    await stage.clock.advance(0.1)
    assert stage.probes.running == 0
    await stage.clock.advance(100.0)
    assert stage.reports == []
    assert len(stage.probes.started) == 1
    assert "web" not in stage.runner


async def test_a_check_registered_again_starts_anew(stage):
    stage.probes.lasts["web"] = 5.0
    stage.add("web", interval=1.0)
    await stage.clock.advance(2.0)
    stage.add("web", interval=100.0)
    assert len(stage.runner._checks) == 1
    await stage.clock.advance(3.9)
    assert stage.reports == []  # the old run was ended
    await stage.clock.advance(106.0)
    assert [report[1:] for report in stage.reports] == [("web", "passing", "ok")]


async def test_a_check_removed_before_its_task_began_gives_its_place_back(stage):
    runner = stage.make(max_socket_probes=1)
    stage.add("a", runner=runner, interval=1.0)
    runner._schedule.move(runner._checks["a"].entry, 0.0)
    check = runner._checks["a"]
    runner._schedule.take(0.0, 1)
    runner._start(check)
    runner.remove("a")
    await stage.clock.advance(0.0)
    assert runner._schedule.in_flight(Lane.SOCKET) == 0
    stage.add("b", runner=runner, interval=1.0)
    await stage.clock.advance(1.1)
    assert [report[1] for report in stage.reports] == ["b"]


async def test_no_more_in_flight_than_allowed_and_all_have_their_turn(stage):
    runner = stage.make(max_socket_probes=4)
    for n in range(40):
        stage.probes.lasts[f"c{n}"] = 0.5
        stage.add(f"c{n}", runner=runner, interval=1.0)
    await stage.clock.advance(12.0)
    assert stage.probes.most == 4
    runs = [len(stage.probes.times(f"c{n}")) for n in range(40)]
    assert min(runs) >= 2
    assert max(runs) - min(runs) <= 1


async def test_programs_have_places_of_their_own(stage):
    runner = stage.make(max_process_probes=1, max_socket_probes=1)
    for n in range(3):
        stage.probes.lasts[f"s{n}"] = 50.0
        stage.add(f"s{n}", runner=runner, kind="script", interval=1.0)
    stage.add("web", runner=runner, interval=1.0)
    await stage.clock.advance(30.0)
    assert len(stage.probes.times("web")) >= 28
    assert sum(len(stage.probes.times(f"s{n}")) for n in range(3)) == 1


async def test_a_lingering_program_keeps_its_check_from_running(stage):
    """K10: the result is reported, but no second instance starts beside a process that the kernel holds."""
    gone = asyncio.Event()
    stage.probes.answers["nfs"] = [Outcome("critical", "Timed out", lingering=gone), Outcome("passing", "ok")]
    stage.add("nfs", kind="script", interval=1.0)
    await stage.clock.advance(50.0)
    assert [report[2] for report in stage.reports] == ["critical"]
    gone.set()
    await stage.clock.advance(2.0)
    assert [report[2] for report in stage.reports][:2] == ["critical", "passing"]


async def test_ttl_expires_and_starts_again(stage):
    """K14"""
    stage.add("job", kind="ttl", ttl=10.0, status="passing")
    await stage.clock.advance(9.0)
    assert stage.runner.ttl_update("job", "passing", "alive") == "alive"
    await stage.clock.advance(9.9)
    assert [report[1:] for report in stage.reports] == [("job", "passing", "alive")]
    await stage.clock.advance(50.0)
    expired = ("job", "critical", "TTL expired (last output before timeout follows): alive")
    assert [report[1:] for report in stage.reports[1:]] == [expired]
    assert 19.0 <= stage.reports[-1][0] <= 19.02
    stage.runner.ttl_update("job", "warning", "hmm")
    await stage.clock.advance(10.1)
    assert [report[2] for report in stage.reports[2:]] == ["warning", "critical"]


async def test_ttl_output_is_cut(stage):
    """K5"""
    stage.add("job", kind="ttl", ttl=10.0, output_max_size=10)
    assert stage.runner.ttl_update("job", "passing", "0123456789abc") == "0123456789 ... (captured 10 of 13 bytes)"


async def test_only_ttl_checks_can_be_told(stage):
    """A16; the message is golden (agent-checks)."""
    stage.add("web")
    for check_id in ("web", "nobody"):
        with pytest.raises(InternalError) as failed:
            stage.runner.ttl_update(check_id, "passing", "")
        assert str(failed.value) == f'CheckID "{check_id}" does not have associated TTL'


async def test_an_unknown_type_is_refused(stage):
    with pytest.raises(InternalError, match="Check type is not valid"):
        stage.add("web", kind="")


@dataclass(frozen=True)
class Row:
    check_id: str
    name: str
    service_id: str
    status: str
    output: str


async def test_alias_looks_at_once_on_change_and_each_minute(stage):
    """K19"""
    passing, down = (Row("c", "c", "web", status, "out") for status in ("passing", "critical"))
    stage.aliased["", "web"] = [passing]
    stage.add("follows", kind="alias", alias_service="web")
    await stage.clock.advance(0.1)
    assert stage.reports == [(0.0, "follows", "passing", "All checks passing.")]
    stage.aliased["", "web"] = [down]
    stage.runner.aliased_changed(service_id="db")
    await stage.clock.advance(1.0)
    assert len(stage.reports) == 1
    stage.runner.aliased_changed(service_id="web")
    await stage.clock.advance(0.1)
    assert stage.reports[1:] == [(1.1, "follows", "critical", 'Aliased check "c" failing: out')]
    stage.aliased["", "web"] = [passing]
    stage.runner.aliased_changed()  # a check of the node
    await stage.clock.advance(0.1)
    assert [report[2] for report in stage.reports] == ["passing", "critical", "passing"]
    await stage.clock.advance(120.0)
    assert len(stage.reports) == 5
    stage.runner.remove("follows")
    stage.runner.aliased_changed()
    await stage.clock.advance(120.0)
    assert len(stage.reports) == 5


async def test_outputs_can_be_discarded(stage):
    """G22"""
    runner = stage.make(discard_check_output=True)
    stage.add("web", runner=runner, interval=1.0)
    stage.add("job", runner=runner, kind="ttl", ttl=5.0)
    runner.ttl_update("job", "passing", "text")
    await stage.clock.advance(1.1)
    assert {report[3] for report in stage.reports} == {""}


async def test_changed_options_take_effect(stage):
    stage.add("web", interval=1.0)
    await stage.clock.advance(2.1)
    stage.runner.configure(CheckSettings(output_max_size=7))
    await stage.clock.advance(2.0)
    assert stage.probes.prepared == [("web", 4096), ("web", 7)]


async def test_an_agent_with_idle_checks_does_not_spin(stage):
    """Each change wakes the loop once; a pause that was cut short does not cut the next one."""
    slices = []
    take = stage.runner._schedule.take
    stage.runner._schedule.take = lambda now, budget: slices.append(now) or take(now, budget)
    for n in range(5):
        stage.add(f"job{n}", kind="ttl", ttl=1000.0)
        await stage.clock.advance(1.0)
    for _ in range(10):
        stage.runner.ttl_update("job0", "passing", "")
        await stage.clock.advance(1.0)
    await stage.clock.advance(900.0)
    assert len(slices) <= 16


async def test_stop_ends_everything(stage):
    stage.probes.lasts["web"] = 5.0
    stage.add("web", interval=1.0)
    stage.add("job", kind="ttl", ttl=5.0)
    await stage.clock.advance(2.0)
    stage.runner.stop()
    await stage.clock.advance(100.0)
    assert stage.reports == []
    assert stage.probes.running == 0
    assert not stage.tasks._tasks


async def test_a_report_may_change_what_is_registered(stage):
    """The reaper removes a service from within a report; nothing of its neighbours is lost."""
    runner = stage.make()
    stage.add("a", runner=runner, kind="ttl", ttl=1.0)
    stage.add("b", runner=runner, kind="ttl", ttl=1.0)
    runner._report = lambda check_id, status, output: (runner.remove("a"), runner.remove("b"))
    await stage.clock.advance(2.0)
    assert not runner._checks
    stage.add("c", runner=runner, interval=1.0)
    await stage.clock.advance(1.1)
    assert stage.probes.times("c")


async def test_a_report_that_fails_does_not_end_the_others(stage, caplog):
    """A fault of whoever is told is logged; all checks go on, the one that told included."""
    told = []

    def report(check_id, status, output):
        told.append(check_id)
        raise ZeroDivisionError

    stage.runner._report = report
    stage.add("web", interval=1.0)
    stage.add("job", kind="ttl", ttl=1.0)
    stage.add("follows", kind="alias", alias_service="web")
    await stage.clock.advance(61.0)
    assert told.count("web") >= 59
    assert told.count("job") == 1
    assert told.count("follows") == 2
    assert {r.levelno for r in caplog.records if r.exc_info} == {logging.ERROR}


async def test_only_changes_are_logged(stage, caplog):
    caplog.set_level(logging.INFO, "agent")
    stage.probes.answers["web"] = [Outcome(s, "x") for s in ["critical"] * 3 + ["passing"] * 3]
    stage.add("web", interval=1.0, status="passing")
    await stage.clock.advance(5.1)
    assert [r.message for r in caplog.records] == [
        "Check is now critical: check=web",
        "Check status updated: check=web status=passing",
    ]


async def test_ten_thousand_checks_share_the_loop(stage):
    """Counted, not timed: how often the loop is held and how much is started each time."""
    count = 10_000
    starts = []
    take = stage.runner._schedule.take

    def counting(now, budget):
        taken = take(now, budget)
        starts.append((now, taken.steps))
        return taken

    stage.runner._schedule.take = counting
    for n in range(count):
        stage.add(f"c{n}", interval=10.0)
    await stage.clock.advance(10.2)
    runs = len(stage.probes.started)
    assert runs >= count
    assert max(steps for _, steps in starts) <= 16
    # Wake-ups: at most one each hundredth of a second, and further slices only when one was full.
    assert len({now for now, _ in starts}) <= 10.2 / 0.01 + 2
    assert len(starts) <= 1022 + runs / 16 + count / 100
    per_second = [0] * 11
    for _, at in stage.probes.started:
        per_second[int(at)] += 1
    assert max(per_second[:10]) < 1150
    assert min(per_second[:10]) > 850
    assert stage.probes.most <= 512


class Soon(random.Random):
    """First runs at once."""

    def random(self):
        return 0.0


async def test_real_probes_through_the_real_clock(define, serve, golden_output):
    """K10-K12: what a real Consul showed, through the whole of this package."""

    async def hello(reader, writer):
        if await reader.read(1000):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue")
            await writer.drain()

    port = await serve(hello)
    results = {}
    finished = asyncio.Event()

    def report(check_id, status, output):
        results[check_id] = (status, output)
        if len(results) == 4:
            finished.set()

    tasks = Tasks()
    runner = CheckRunner(clock=SystemClock(), rng=Soon(), tasks=tasks, report=report, config=CheckSettings())
    runner.add("rpost", define("http", http=f"http://127.0.0.1:{port}/v1/kv/from-check", method="PUT", body="hello"))
    runner.add("rt", define("tcp", tcp=f"127.0.0.1:{port}"))
    runner.add("s1", define("script", args=("sh", "-c", "echo meh; exit 1")))
    runner.add("fast", define("ttl", ttl=0.02))
    await asyncio.wait_for(finished.wait(), 10)
    runner.stop()
    await tasks.cancel()
    assert results == {
        "rpost": ("passing", golden_output("rpost").replace("<port:http>", str(port))),
        "rt": ("passing", golden_output("rt").replace("<port:http>", str(port))),
        "s1": ("warning", golden_output("s1")),
        "fast": ("critical", golden_output("fast", 0)),
    }
