"""I/O edge: `connect { builtin_proxy = "managed" }`: one process with all sidecars of this host, kept running.

The process is a session of its own and outlives the agent: an agent that starts finds it by the lock it holds in the
data directory, and starts another one only when nobody holds it. A -dev agent has no such directory; its process ends
with it.

Source: our own. What may change here: how the process is told of tokens.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from meshagent.clock import Clock
from meshagent.errors import ConfigError

if TYPE_CHECKING:
    from meshagent.agent.config import Config
    from meshagent.agent.core import Agent

__all__ = ["ManagedProxies", "managed_proxies", "start_proxies"]

log = logging.getLogger("agent.proxies")

#: How often it is looked whether the process is there, and the longest pause between two starts that failed.
_LOOK_S, _LONGEST_PAUSE_S = 1.0, 30.0
#: A process that lived so long did not fail at its start.
_WELL_S = 60.0


def managed_proxies(config: Config, data_dir: Path | None, clock: Clock, token: str = "") -> ManagedProxies | None:
    """What the configuration wants. Without it a process that an earlier configuration started is ended.

    Raises:
        ConfigError: there is no HTTP listener by which the process could be told anything.
    """
    if config.connect.builtin_proxy != "managed":
        ManagedProxies("", "", data_dir, clock, "INFO").end(for_good=True)
        return None
    listeners = config.network.http
    if not listeners:
        raise ConfigError('connect.builtin_proxy: "managed" needs ports.http or a Unix socket in addresses.http')
    # A socket of this host first: nobody else can take its place.
    listen = next((one for one in listeners if one.path), listeners[0])
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listen.host, listen.host)
    return ManagedProxies(
        str(listen._replace(host=host)),
        token,
        data_dir,
        clock,
        config.log_level,
    )


def start_proxies(agent: Agent) -> None:
    """Keep the process running that the configuration wants. Raises ConfigError."""
    config = agent.config
    data_dir = None if config.dev_mode or not config.data_dir else Path(config.data_dir)
    tokens = agent.extras.get("acl_tokens")
    managed = managed_proxies(config, data_dir, agent.clock, tokens.own if tokens is not None else "")
    if managed is not None:
        agent.tasks.start(managed.run(), name="sidecars")


class ManagedProxies:
    """Keeps the process running until it is cancelled."""

    def __init__(self, http_addr: str, token: str, data_dir: Path | None, clock: Clock, level: str) -> None:
        """`http_addr` is where this agent's API is reached; `token` is a secret and goes by environment."""
        self._http_addr = http_addr
        self._token = token
        self._folder = data_dir / "proxies" if data_dir is not None else None
        self._clock = clock
        self._level = level
        self._child: subprocess.Popen[bytes] | None = None

    async def run(self) -> None:
        """Start it, watch it, start it again, until cancelled."""
        try:
            await self._keep()
        finally:
            self.end()

    async def _keep(self) -> None:
        pause_s = _LOOK_S
        while True:
            pid = self._running()
            if pid:
                log.info("sidecars run on: pid=%d", pid)
                while self._running():
                    await self._clock.sleep(_LOOK_S)
                log.warning("the process of the sidecars has ended: pid=%d", pid)
                pause_s = _LOOK_S
                continue
            started = self._clock.monotonic()
            try:
                child = self._child = self._start()
                log.info("sidecars started: pid=%d", child.pid)
                while child.poll() is None:
                    await self._clock.sleep(_LOOK_S)
                log.warning("the process of the sidecars has ended: status=%s", child.returncode)
            except OSError as error:
                log.error("the process of the sidecars cannot be started: %s", error.strerror)
            if self._clock.monotonic() - started > _WELL_S:
                pause_s = _LOOK_S
            await self._clock.sleep(pause_s)
            pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)

    def end(self, *, for_good: bool = False) -> None:
        """The agent ends: without a data directory the process ends with it, `for_good` in any case."""
        child = self._child
        if child is not None and child.poll() is None and (self._folder is None or for_good):
            child.terminate()
        elif for_good and (pid := self._running()):
            os.kill(pid, signal.SIGTERM)

    # --- inside ------------------------------------------------------------------------------------------------

    def _running(self) -> int:
        """The pid of the process that holds the lock; 0 when nobody does."""
        if self._folder is None:
            return 0
        try:
            handle = os.open(self._folder / "lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return 0
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return 0
        except OSError:
            text = os.read(handle, 32).strip()
            return int(text) if text.isdigit() else 0
        finally:
            os.close(handle)

    def _start(self) -> subprocess.Popen[bytes]:
        """Not through the loop's own subprocesses: those are killed when the loop is closed."""
        words = [sys.executable, "-m", "meshagent.agent.cli", "connect", "proxy", "-all", "-log-level", self._level]
        words += ["-http-addr", self._http_addr]
        out = None
        if self._folder is not None:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            words += ["-lock-file", str(self._folder / "lock")]
            out = os.open(self._folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            return subprocess.Popen(  # noqa: S603  our own command, no shell
                words,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                env=self._environment(os.environ),
            )
        finally:
            if out is not None:
                os.close(out)

    def _environment(self, own: Mapping[str, str]) -> dict[str, str]:
        """Ours, without what would lead the child to another agent."""
        kept = {name: value for name, value in own.items() if not name.startswith(("CONSUL_HTTP_", "CONNECT_"))}
        return {**kept, "CONSUL_HTTP_TOKEN": self._token} if self._token else kept
