import asyncio
import os
import sys
import time

import pytest

from meshagent.agent.checks.probe import Outcome, ProbeFailed
from meshagent.agent.checks.script import by_exit_code, prepare, timed_out


@pytest.fixture
def run(define, tools):
    """Run a script check once."""

    async def once(*args, **fields):
        return await prepare(define("script", args=args, **fields), tools)()

    return once


@pytest.mark.parametrize(
    ("check_id", "status", "command"),
    [
        ("s0", "passing", "echo fine"),
        ("s1", "warning", "echo meh; exit 1"),
        ("s2", "critical", "echo bad >&2; exit 7"),
    ],
)
async def test_the_exit_code_decides(run, golden_output, check_id, status, command):
    """K10, as a real Consul answered."""
    assert await run("sh", "-c", command) == Outcome(status, golden_output(check_id))


async def test_the_tail_of_the_output_is_kept(run, golden_output):
    """K5, golden check `many`."""
    outcome = await run("sh", "-c", "printf 0123456789ABCDEFGHIJ", output_max_size=8)
    assert outcome == Outcome("passing", golden_output("many"))


async def test_a_timeout_is_critical_and_says_how_long(run, golden_output):
    """K10, golden check `slow`."""
    assert await run("sleep", "20", timeout=0.3) == Outcome("critical", golden_output("slow"))


async def test_a_timeout_shows_what_was_said_before(run):
    outcome = await run("sh", "-c", "echo begun; exec sleep 20", timeout=2.0)
    assert outcome == Outcome("critical", "Timed out (2s) running check\n\nbegun\n")


async def test_a_timeout_kills_the_whole_group(run, tmp_path):
    """K10: children, too."""
    pids = tmp_path / "pids"
    outcome = await run("sh", "-c", f"sleep 60 & echo $! $$ > {pids}; wait", timeout=2.0)
    assert outcome.status == "critical"
    child, leader = (int(word) for word in pids.read_text().split())
    for _ in range(3000):
        if not alive(child) and not alive(leader):
            return
        await asyncio.sleep(0.01)
    pytest.fail("a process of the group is still there")


def alive(pid):
    """Whether a process runs; one that only waits to be collected does not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_a_removed_check_leaves_no_process(define, tools, tmp_path):
    pids = tmp_path / "pid"
    probe = prepare(define("script", args=("sh", "-c", f"echo $$ > {pids}; exec sleep 60")), tools)
    task = asyncio.get_running_loop().create_task(probe())
    deadline = time.monotonic() + 10
    while not (pids.exists() and pids.read_text().strip()):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    pid = int(pids.read_text())
    while alive(pid):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_a_flood_of_output_is_counted_and_not_kept(run):
    outcome = await run(sys.executable, "-c", "print('x' * 3_000_000, end='END')", output_max_size=10)
    assert outcome == Outcome("passing", "Captured 10 of 3000003 bytes\n...\nxxxxxxxEND")


async def test_a_program_that_is_not_there(run):
    assert await run("no-such-program") == Outcome(
        "critical", 'exec: "no-such-program": executable file not found in $PATH'
    )
    assert await run("/no/such/program") == Outcome("critical", "fork/exec /no/such/program: no such file or directory")


async def test_a_file_that_is_no_program(run, tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("text")
    assert await run(str(plain)) == Outcome("critical", f"fork/exec {plain}: permission denied")


async def test_no_shell_looks_at_the_arguments(run):
    assert await run("echo", "$HOME; echo *") == Outcome("passing", "$HOME; echo *\n")


async def test_standard_input_is_empty_and_the_environment_is_the_agents(run, monkeypatch):
    monkeypatch.setenv("MESHAGENT_TEST", "seen")
    assert await run("sh", "-c", "cat; echo $MESHAGENT_TEST") == Outcome("passing", "seen\n")


async def test_output_that_is_no_text(run):
    assert (await run("printf", r"\377ok")).output == "\ufffdok"


async def test_killed_by_a_signal_is_critical(run):
    assert (await run("sh", "-c", "kill -9 $$")).status == "critical"


async def test_a_child_that_keeps_the_output_open_times_out(run):
    """As in Consul, which waits for the end of the output, not only of the program."""
    outcome = await run("sh", "-c", "sleep 60 & echo done", timeout=2.0)
    assert outcome == Outcome("critical", "Timed out (2s) running check\n\ndone\n")


async def test_no_descriptors_are_left_behind(run):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        await run("true")
        await run("sleep", "9", timeout=0.01)
    assert len(os.listdir("/proc/self/fd")) <= before + 2  # the loop's own, made once


def test_nothing_to_run(define, tools):
    with pytest.raises(ProbeFailed, match="need an executable to run"):
        prepare(define("script", args=("",)), tools)
    with pytest.raises(ProbeFailed, match="zero byte"):
        prepare(define("script", args=("a\0b",)), tools)


def test_exit_codes():
    assert [by_exit_code(code, "").status for code in (0, 1, 2, 255, -9)] == ["passing", "warning"] + ["critical"] * 3
    assert timed_out(30.0, "") == "Timed out (30s) running check"
