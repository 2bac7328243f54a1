"""I/O edge: several real servers, and everything that can happen to one: kill, pause, full disk, start.

A server's data is on a small file system of its own where mounts are possible. `life` moves with each start.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from meshtest.chaos.network import Loopback
from meshtest.process import AgentProcess, meshagent_command

DISK_MB = 320
SMALL_LOG = {"raft_snapshot_threshold": 4000, "raft_snapshot_interval": "2s", "raft_trailing_logs": 1500}
"""So that snapshots, truncation and installing are hit in minutes."""


class Server:
    def __init__(self, name: str, agent: AgentProcess, data: Path) -> None:
        self.name = name
        self.agent = agent
        self.data = data
        self.life = 0
        self.paused = False
        self.wanted = False  # whether it is meant to run

    @property
    def address(self) -> tuple[str, int]:
        return self.agent.address, self.agent.ports["http"]

    @property
    def up(self) -> bool:
        return self.agent.alive and not self.paused


class Cluster:
    """Servers `s1`, `s2` ...; a context manager that leaves nothing behind."""

    def __init__(
        self,
        network: Loopback,
        *,
        config: Mapping[str, Any] | None = None,
        command: Sequence[str] | None = None,
        small_disks: bool = True,
    ) -> None:
        self.network = network
        self.directory = Path(tempfile.mkdtemp(prefix="chaos-"))
        self._mounts: list[Path] = []
        self._small_disks = small_disks and network.can_mount
        self.ids = {name: str(uuid.uuid5(uuid.NAMESPACE_DNS, name)) for name in network.names}
        self.servers = {name: self._server(name, dict(config or {}), command) for name in network.names}

    def _server(self, name: str, extra: dict[str, Any], command: Sequence[str] | None) -> Server:
        ports, address = dict(self.network.ports(name)), self.network.address(name)
        directory = self.directory / name
        data = directory / "data"
        data.mkdir(parents=True)
        if self._small_disks:
            options = f"size={DISK_MB}m,mode=0700"
            subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(data)], check=True)
            self._mounts.append(data)
        config: dict[str, Any] = {
            "server": True,
            "bootstrap_expect": len(self.network.names),
            "retry_join": [
                f"{self.network.address(other)}:{self.network.ports(other)['serf_lan']}" for other in self.network.names
            ],
            "retry_interval": "1s",
            "node_name": name,
            "node_id": self.ids[name],
            "datacenter": "dc1",
            "data_dir": str(data),
            "bind_addr": address,
            "client_addr": address,
            "log_level": "INFO",
            "disable_update_check": True,
            "limits": {"http_max_conns_per_client": 2000},
            "ports": ports,
            **extra,
        }
        argv = [*self.network.inside(name), *(command or meshagent_command())]
        agent = AgentProcess(config, ports=ports, directory=directory, command=argv, address=address)
        return Server(name, agent, data)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        for server in self.servers.values():
            with contextlib.suppress(Exception):
                self.resume(server)
                server.agent.kill()
        for mount in self._mounts:
            subprocess.run(["umount", "--lazy", str(mount)], check=False)
        if not os.environ.get("MESHTEST_KEEP"):
            shutil.rmtree(self.directory, ignore_errors=True)

    # -- what happens to a server

    def start(self, server: Server) -> None:
        server.life += 1
        server.wanted = True
        server.agent.start(ready=False)

    def kill(self, server: Server) -> None:
        """kill -9; a paused one dies too."""
        server.wanted = False
        server.paused = False
        server.agent.kill()

    def stop(self, server: Server) -> None:
        """SIGTERM, as a service manager does."""
        server.wanted = False
        server.agent.stop()

    def pause(self, server: Server) -> None:
        server.agent.signal(signal.SIGSTOP)
        server.paused = True

    def resume(self, server: Server) -> None:
        if server.paused and server.agent.alive:
            server.agent.signal(signal.SIGCONT)
        server.paused = False

    def fill_disk(self, server: Server) -> None:
        """Not a byte is left on its file system; where it has none of its own, its files may not grow."""
        if self._small_disks:
            with open(server.data / "filler", "wb", buffering=0) as filler, contextlib.suppress(OSError):
                while True:
                    filler.write(bytes(1 << 16))
        elif server.agent.alive:
            resource.prlimit(server.agent.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))

    def used_mb(self) -> int:
        """Of the fullest data directory."""
        return max(
            sum(path.stat().st_blocks for path in server.data.rglob("*") if path.is_file()) * 512 >> 20
            for server in self.servers.values()
        )

    def free_disk(self, server: Server) -> None:
        if self._small_disks:
            (server.data / "filler").unlink(missing_ok=True)
        elif server.agent.alive:
            resource.prlimit(server.agent.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    # -- what is known of them

    def leader(self) -> Server | None:
        """Whom most servers that answer take for the leader, if it runs."""
        votes: dict[str, int] = {}
        for server in self.servers.values():
            if server.up:
                with contextlib.suppress(Exception):
                    answer = server.agent.http("GET", "/v1/status/leader?stale", timeout_s=0.5)
                    votes[json.loads(answer.body)] = votes.get(json.loads(answer.body), 0) + 1
        votes.pop("", None)
        if not votes:
            return None
        best = max(votes, key=votes.__getitem__)
        for server in self.servers.values():
            if f"{server.agent.address}:{server.agent.ports['server']}" == best and server.up:
                return server
        return None

    def wait_writable(self, within_s: float) -> float:
        """Seconds until each server takes a write. Raises: TimeoutError and says what came last."""
        started = time.monotonic()
        for server in self.servers.values():
            last: object = None
            while not server.paused and server.wanted:
                if not server.agent.alive:
                    raise TimeoutError(f"{server.name} ended by itself:\n{server.agent.log()[-2500:]}")
                if time.monotonic() - started > within_s:
                    raise TimeoutError(f"{server.name} takes no write after {within_s:.0f} s: {last}")
                try:
                    answer = server.agent.http("PUT", "/v1/kv/chaos-probe", body=b"x", timeout_s=2)
                    if answer.status == 200:
                        break
                    last = f"{answer.status} {answer.body[:200]!r}"
                except OSError as error:
                    last = repr(error)
                time.sleep(0.05)
        return time.monotonic() - started
