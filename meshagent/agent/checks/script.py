"""I/O edge: script checks: a program is run, its exit code decides.

Source: surface rows K10 and K5. Exit 0 passes, 1 warns, anything else is critical; standard output and error together
are the output, of which the tail is kept. No shell: `Args` is the command line. The program gets the agent's
environment, nothing on standard input, and a session of its own, so that on a timeout the whole group is killed,
children included.

Whether scripts may be registered at all (`enable_script_checks`) is decided by whoever accepts the check.

What may be changed here: nothing of the wording; never a shell.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Sequence
from typing import cast

from meshagent.agent.checks.definition import Definition, or_default
from meshagent.agent.checks.dial import describe
from meshagent.agent.checks.output import Tail, effective_max_size
from meshagent.agent.checks.probe import CRITICAL, PASSING, WARNING, Outcome, Probe, ProbeFailed, Tools, critical
from meshagent.durations import format_duration

__all__ = ["DEFAULT_TIMEOUT_S", "by_exit_code", "prepare", "timed_out"]

DEFAULT_TIMEOUT_S = 30.0
#: A killed process is gone within milliseconds, unless the kernel holds it (a dead NFS server): then we do not wait.
LAST_WORDS_S = 1.0


def by_exit_code(code: int, output: str) -> Outcome:
    """The convention of Nagios plugins, less its 3."""
    if code == 0:
        return Outcome(PASSING, output)
    return Outcome(WARNING if code == 1 else CRITICAL, output)


def timed_out(timeout_s: float, output: str) -> str:
    """The output of a check that was cut short."""
    message = f"Timed out ({format_duration(round(timeout_s * 1e9))}) running check"
    return f"{message}\n\n{output}" if output else message


def prepare(definition: Definition, tools: Tools) -> Probe:
    """The probe of a script check.

    Raises:
        ProbeFailed: there is nothing to run.
    """
    args = tuple(definition.args)
    if not args or not args[0]:
        raise ProbeFailed("need an executable to run")
    if any("\0" in arg for arg in args):
        raise ProbeFailed("an argument holds a zero byte")
    timeout_s = or_default(definition.timeout, DEFAULT_TIMEOUT_S)
    max_bytes = effective_max_size(tools.settings.output_max_size, definition.output_max_size)

    async def probe() -> Outcome:
        return await _run(args, timeout_s, max_bytes)

    return probe


async def _run(args: Sequence[str], timeout_s: float, max_bytes: int) -> Outcome:
    loop = asyncio.get_running_loop()
    try:
        transport, program = await loop.subprocess_exec(
            lambda: _Program(Tail(max_bytes), loop),
            *args,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        return critical(_not_started(args[0], error))
    try:
        async with asyncio.timeout(timeout_s):
            await program.ended.wait()
    except TimeoutError:
        pass
    finally:
        # Timed out, or the check was removed. Also after a normal end: the group may hold children that closed their
        # output; those are left alone, as Consul does.
        finished = program.ended.is_set()
        if not finished:
            _kill_group(transport.get_pid())
    if finished:
        code = transport.get_returncode()
        transport.close()
        return by_exit_code(-1 if code is None else code, program.output.captured())
    outcome = critical(timed_out(timeout_s, program.output.captured()))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LAST_WORDS_S):
            await program.exited.wait()
    if program.exited.is_set():
        transport.close()
        return outcome
    return Outcome(outcome.status, outcome.output, lingering=program.exited)


def _kill_group(pid: int) -> None:
    """The session's leader has the group's number; a group that is gone is fine."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _not_started(program: str, error: OSError) -> str:
    quoted = json.dumps(program, ensure_ascii=False)
    if isinstance(error, FileNotFoundError) and "/" not in program:
        return f"exec: {quoted}: executable file not found in $PATH"
    return f"fork/exec {program}: {describe(error)}"


class _Program(asyncio.SubprocessProtocol):
    """Collects the output; `exited` when the process is gone, `ended` when its output is closed, too."""

    def __init__(self, output: Tail, loop: asyncio.AbstractEventLoop) -> None:
        self.output = output
        self.exited = asyncio.Event()
        self.ended = asyncio.Event()
        self._open = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        process = cast(asyncio.SubprocessTransport, transport)
        self._open = process.get_pipe_transport(1) is not None

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.output.append(data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self._open = False
        self._look()

    def process_exited(self) -> None:
        self.exited.set()
        self._look()

    def _look(self) -> None:
        if self.exited.is_set() and not self._open:
            self.ended.set()
