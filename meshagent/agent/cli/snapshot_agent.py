"""I/O edge: `meshagent snapshot agent`: snapshots at an interval, the newest kept in a directory.

Source: surface row CL25; developer.hashicorp.com/consul/commands/snapshot/agent (local storage). Of several that run
for high availability one works: it holds the lock `-lock-key` by a session; another takes over when that one ends.
Files are named `consul-<Unix time in nanoseconds>.snap`; what is named otherwise is never touched.

What may be changed: nothing that a script relies on: flags, and the names of files.
"""

from __future__ import annotations

import re
import signal
import sys
import threading
from pathlib import Path
from typing import NoReturn

import click

from meshagent.agent.cli.client import Client
from meshagent.agent.cli.flags import api_command, expect, text
from meshagent.agent.cli.kept_session import kept_session
from meshagent.agent.cli.locks import Mutex
from meshagent.agent.cli.output import fail, say
from meshagent.agent.cli.snapshot import download
from meshagent.clock import Clock, SystemClock
from meshagent.durations import parse_duration
from meshagent.errors import MeshError

__all__ = ["agent"]

#: How many failed reads of the held lock are forgiven in a row.
MONITOR_RETRIES = 3
#: Pause before a lock that was lost, or could not be asked for, is wanted again.
AGAIN_S = 5.0
_NAME = re.compile(r"consul-(\d{1,20})\.snap")


@api_command("agent", "", "Save snapshots at an interval")
@text("interval", "Time between two snapshots; 0 saves one and ends", default="1h")
@text("retain", "How many snapshots are kept; 0 keeps all", default=30, kind=int)
@text("local-path", "Directory for the snapshots", default=".")
@text("lock-key", "Key whose holder saves snapshots, of several agents", default="consul-snapshot/lock")
@text("max-failures", "So many failures in a row give the lock to another", default=3, kind=int)
def agent(
    client: Client,
    args: tuple[str, ...],
    interval: str,
    retain: int,
    local_path: str,
    lock_key: str,
    max_failures: int,
) -> int:
    """Save a snapshot of the servers' state at an interval, for as long as this runs. Run several: one of them works.
    With -stale any server may give it, also when there is no leader."""
    expect(args, 0, 0, "")
    interval_s = _seconds(interval)
    if retain < 0:
        raise fail("-retain must not be negative")
    if max_failures < 1:
        raise fail("-max-failures must be at least 1")
    directory = Path(local_path)
    if not directory.is_dir():
        raise fail(f"-local-path: {directory} is no directory")
    keeper = Keeper(client, directory, retain, SystemClock())
    if interval_s == 0:
        keeper.save()
        return 0
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    say("Snapshot agent running")
    pause = threading.Event()
    while True:
        try:
            _lead(client, keeper, lock_key.strip("/"), interval_s, max_failures)
        except MeshError as error:
            print(f"Error obtaining the lock {lock_key}: {error}", file=sys.stderr)
        pause.wait(AGAIN_S)


def _end(number: int, frame: object) -> NoReturn:
    raise SystemExit(0)  # the session is destroyed on the way, and with it the lock is free


class Keeper:
    """Saves snapshots in `directory`, and removes those before the newest `retain`."""

    def __init__(self, client: Client, directory: Path, retain: int, clock: Clock) -> None:
        self._client = client
        self._directory = directory
        self._retain = retain
        self._clock = clock

    def save(self) -> Path:
        """Save one; its path. Raises what ends a command."""
        path = self._directory / f"consul-{int(self._clock.now().timestamp() * 1e6)}000.snap"
        index = download(self._client, path)
        say(f"Saved snapshot {path.name} at index {index}")
        self._clean_up()
        return path

    def _clean_up(self) -> None:
        found = [(int(match[1]), path) for path in self._directory.iterdir() if (match := _NAME.fullmatch(path.name))]
        for _, path in sorted(found)[: -self._retain] if self._retain else ():
            try:
                path.unlink()
            except OSError as error:
                print(f"Error removing snapshot {path.name}: {error.strerror}", file=sys.stderr)


def _lead(client: Client, keeper: Keeper, key: str, interval_s: float, max_failures: int) -> None:
    """Save while the lock is held; returns when it is lost or given to another. Raises MeshError: it cannot be had."""
    lost, ended = threading.Event(), threading.Event()
    with kept_session(client, "Consul Snapshot Agent") as session:
        lock = Mutex(client, "", session, key=key)
        lock.acquire(lambda pause_s: not ended.wait(pause_s), lambda: None)

        def watch() -> None:
            try:
                lock.lost(MONITOR_RETRIES, lambda pause_s: not ended.wait(pause_s))
            except MeshError as error:
                print(f"Error watching the lock: {error}", file=sys.stderr)
            lost.set()

        threading.Thread(target=watch, daemon=True, name="lock monitor").start()
        failures = 0
        while failures < max_failures and not lost.is_set():
            try:
                keeper.save()
                failures = 0
            except click.ClickException as error:
                failures += 1
                print(error.format_message(), file=sys.stderr)
            lost.wait(interval_s)
        ended.set()
    print("Another agent may save snapshots now", file=sys.stderr)


def _seconds(word: str) -> float:
    try:
        value_s = parse_duration(word) / 1e9
    except (ValueError, MeshError):
        raise fail(f"Invalid interval {word}: a duration such as 1h was expected") from None
    if value_s < 0:
        raise fail(f"-interval must not be negative: {word}")
    return value_s
