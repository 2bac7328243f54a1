"""I/O edge: `meshagent lock`: run a program while a lock is held.

Source: surface rows CL10, E10, E11; developer.hashicorp.com/consul/commands/lock. The session is renewed beside the
program; when the lock is lost the program is asked to end (SIGTERM) and made to after five seconds. The child's words
are one line for the caller's shell unless -shell=false, as in Consul.

What may change here: nothing that a script relies on: exit statuses and the environment of the child.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from queue import SimpleQueue

from meshagent.agent.cli.client import Client
from meshagent.agent.cli.flags import api_command, switch, text
from meshagent.agent.cli.kept_session import kept_session
from meshagent.agent.cli.locks import Lock, Mutex, Semaphore
from meshagent.agent.cli.output import fail, say
from meshagent.clock import SystemClock
from meshagent.durations import parse_duration
from meshagent.errors import MeshError

__all__ = ["lock"]

GRACE_S = 5.0
_CHILD, _LOST, _SIGNAL = "child", "lost", "signal"


@api_command("lock", "PREFIX CHILD...", "Run a program while a lock is held")
@text("n", "How many may hold it at the same time", default=1, kind=int)
@text("name", "Name of the session")
@switch("child-exit-code", "End with 2 when the child failed")
@switch("pass-stdin", "Give standard input to the child")
@text("shell", "Run the child by a shell: true or false", default="true")
@text("try", "Give up after this long (10s); without it, wait for ever")
@text("timeout", "The old name of -try")
@text("monitor-retry", "How many failed reads in a row are forgiven while it is held", default=3, kind=int)
@switch("verbose", "Say what happens")
def lock(
    client: Client,
    args: tuple[str, ...],
    n: int,
    name: str,
    child_exit_code: bool,
    pass_stdin: bool,
    shell: str,
    timeout: str,
    monitor_retry: int,
    verbose: bool,
    **given: str,
) -> int:
    """Run CHILD while a lock under PREFIX is held; -n lets several hold it."""
    if len(args) < 2:
        raise fail("Key prefix and child command must be specified")
    if n <= 0:
        raise fail("Lock holder limit must be positive")
    prefix = args[0].strip("/")
    if not prefix:
        raise fail("Key prefix must be specified")
    patience_s = _seconds(given["try"] or timeout)
    events: SimpleQueue[tuple[str, int]] = SimpleQueue()
    stopping = threading.Event()
    tell = say if verbose else _quiet
    with _signals(events, stopping), kept_session(client, name or f"Lock for {args[1]!r} at {prefix!r}") as id:
        held: Lock = Mutex(client, prefix, id) if n == 1 else Semaphore(client, prefix, id, n)
        tell("Attempting lock acquisition")
        clock = SystemClock()
        began = clock.monotonic()

        def left_s() -> float | None:
            return None if patience_s is None else patience_s - (clock.monotonic() - began)

        if not held.acquire(lambda pause_s: not stopping.wait(pause_s), left_s):
            print("Shutdown triggered or timeout during lock acquisition", file=sys.stderr)
            return 1
        ended = threading.Event()
        watcher = threading.Thread(
            target=_watch, args=(held, monitor_retry, ended, events), daemon=True, name="lock monitor"
        )
        watcher.start()
        tell("Starting handler")
        child = _start(args[1:], by_shell=shell.lower() not in {"0", "f", "false"}, pass_stdin=pass_stdin)
        threading.Thread(target=lambda: events.put((_CHILD, child.wait())), daemon=True, name="child").start()
        code = _accompany(child, events, tell)
        ended.set()
        try:
            held.release()
            held.clean_up()
        except MeshError as error:
            print(f"Lock release failed: {error}", file=sys.stderr)
            return 1
    return 2 if child_exit_code and code else 0


def _quiet(message: str) -> None:
    return


def _seconds(word: str) -> float | None:
    if not word:
        return None
    try:
        value_s = parse_duration(word) / 1e9
    except (ValueError, MeshError):
        raise fail(f"Invalid try value: {word}: a duration such as 10s was expected") from None
    if value_s < 0:
        raise fail(f"Timeout must be positive, not {word}")
    return value_s


@contextlib.contextmanager
def _signals(events: SimpleQueue[tuple[str, int]], stopping: threading.Event) -> Iterator[None]:
    """SIGINT and SIGTERM become events."""

    def note(number: int, frame: object) -> None:
        stopping.set()
        events.put((_SIGNAL, number))

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _watch(held: Lock, retries: int, ended: threading.Event, events: SimpleQueue[tuple[str, int]]) -> None:
    with contextlib.suppress(MeshError):
        held.lost(retries, lambda pause_s: not ended.wait(pause_s))
    events.put((_LOST, 0))


def _start(args: tuple[str, ...], *, by_shell: bool, pass_stdin: bool) -> subprocess.Popen[bytes]:
    line = (os.environ.get("SHELL") or "/bin/sh", "-c", " ".join(args)) if by_shell else args
    try:
        return subprocess.Popen(  # noqa: S603  the caller's own program
            line,
            stdin=None if pass_stdin else subprocess.DEVNULL,
            env={**os.environ, "CONSUL_LOCK_HELD": "true"},
            start_new_session=not pass_stdin,  # who reads a terminal must stay in its session
        )
    except OSError as error:
        raise fail(f"Error executing handler: {line[0]}: {error.strerror}") from None


def _accompany(child: subprocess.Popen[bytes], events: SimpleQueue[tuple[str, int]], tell: object) -> int:
    """Wait for the child, and end it when the lock is lost or somebody asks to; its exit status."""
    what, number = events.get()
    while what != _CHILD:
        if what == _LOST:
            print("Lock lost, killing child", file=sys.stderr)
        code = _end(child, number if what == _SIGNAL else signal.SIGTERM)
        if code is not None:
            return code
        what, number = events.get()
    if number:
        print(f"Error running handler: exit status {number}", file=sys.stderr)
    return number


def _end(child: subprocess.Popen[bytes], number: int) -> int | None:
    """Ask the child to end, then make it."""
    for sent, grace_s in ((number, GRACE_S), (signal.SIGKILL, GRACE_S)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getpgid(child.pid) == child.pid:
                os.killpg(child.pid, sent)
            else:
                child.send_signal(sent)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return child.wait(grace_s)
    return None
