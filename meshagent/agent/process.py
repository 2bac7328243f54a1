"""I/O edge: the process around the daemon: event loop, signals, process id file, systemd.

Source: surface rows G5 (signals), V1 (systemd), CL1. What may change here: nothing about what an agent is; that is
`daemon.py`.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshagent.agent.daemon import Daemon
from meshagent.agent.systemd import notify
from meshagent.clock import SystemClock, Tasks
from meshagent.errors import MeshError

if TYPE_CHECKING:
    from meshagent.agent.config import Loaded

__all__ = ["run"]

log = logging.getLogger("agent")

#: Rows are not tracked by the collector, requests free themselves by counting: full collections may be rare. One holds
#: the loop for as long as it walks all that is tracked (50 ms and more with 10,000 checks).
_GC_THRESHOLDS = (10_000, 50, 100)


def run(flags: Mapping[str, Any]) -> int:
    """Run an agent until it is told to end; its exit status. `flags` has values by key (`config.flags()`).

    Raises:
        ConfigError: the flags or files cannot be used.
    """
    from meshagent.agent.config import load

    paths = [*flags.get("@config-file", ()), *flags.get("@config-dir", ())]

    def read_config(given: Mapping[str, Any] | None = None) -> Loaded:
        return load(
            paths,
            hcl=flags.get("@hcl", ()),
            flags=flags,
            dev=bool(flags.get("@dev")),
            format=flags.get("@config-format") or "",
            given=given,
        )

    loaded = read_config()
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_main(loaded, read_config, paths))


async def _main(loaded: Loaded, read_config: Callable[..., Loaded], paths: list[str]) -> int:
    daemon = Daemon(loaded, read_config, SystemClock(), os.environ)
    loop = asyncio.get_running_loop()
    starting = asyncio.ensure_future(daemon.start())
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, starting.cancel)
    try:
        await starting
    except asyncio.CancelledError:
        log.info("told to stop while starting")
        await daemon.stop()
        return 0
    except MeshError as error:
        await daemon.stop()
        for line in str(error).splitlines():
            print(f"==> {line}", file=sys.stderr)
        return 1
    tasks = Tasks()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, daemon.interrupted, number)
    loop.add_signal_handler(signal.SIGHUP, lambda: tasks.start(_hangup(daemon), name="reload"))
    if daemon.config.auto_reload_config:
        from meshagent.agent.config_watch import certificate_files, follow_files

        files = follow_files(
            lambda: [*paths, *certificate_files(daemon.config)],
            lambda: _hangup(daemon, asked=False),
            daemon.agent.clock,
        )
        tasks.start(files, name="configuration files")
    _write_pid(daemon.config.pid_file)
    # What was made while starting lives as long as the process: the collector need not walk it again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
    notify(os.environ, "READY=1")
    try:
        await daemon.wait()
        notify(os.environ, "STOPPING=1")
        await tasks.cancel()
        await daemon.stop()
    finally:
        _remove_pid(daemon.config.pid_file)
    return daemon.exit_status


def _write_pid(path: str) -> None:
    if path:
        try:
            Path(path).write_text(f"{os.getpid()}\n")
        except OSError as error:
            log.error("pid_file: cannot write %s: %s", path, error.strerror)


def _remove_pid(path: str) -> None:
    if path:
        Path(path).unlink(missing_ok=True)


async def _hangup(daemon: Daemon, *, asked: bool = True) -> None:
    # systemd wants to know which reload this is (Type=notify-reload).
    now_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notify(os.environ, "RELOADING=1", f"MONOTONIC_USEC={now_us}")
    try:
        await daemon.reload(asked=asked)
    except MeshError as error:
        for line in str(error).splitlines():
            log.error("reload failed, the old configuration stays: %s", line)
    notify(os.environ, "READY=1")
