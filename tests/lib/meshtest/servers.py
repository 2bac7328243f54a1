"""I/O edge: several real server processes that find each other by gossip and form one cluster, and client agents.

Used by tests/e2e, tests/chaos and bench. What may change here: further ways to begin a cluster.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from meshtest.process import AgentFailed, AgentProcess, free_ports

__all__ = ["Servers", "client_of", "peers_json"]


def peers_json(servers: Sequence[AgentProcess], node_ids: Sequence[str]) -> str:
    """What `raft/peers.json` may hold for these."""
    rows = [
        {"id": node_id, "address": f"127.0.0.1:{server.ports['server']}", "non_voter": False}
        for server, node_id in zip(servers, node_ids, strict=True)
    ]
    return json.dumps(rows)


def client_of(servers: Sequence[AgentProcess], name: str = "c1", **extra: Any) -> AgentProcess:
    """A client agent that joins these; not started."""
    ports: dict[str, int] = {**free_ports(_CLIENT_PORTS), "serf_wan": -1, "grpc": -1, "grpc_tls": -1}
    config = {
        "server": False,
        "bootstrap_expect": 0,
        "node_name": name,
        "ports": ports,
        "retry_join": [f"127.0.0.1:{server.ports['serf_lan']}" for server in servers],
        "retry_interval": "1s",
        **extra,
    }
    return AgentProcess.server(config, ports=ports)


class Servers:
    """`count` durable servers on loopback, s0, s1, ... Use as a context manager: then all run and know a leader.

    `extra(number)` gives further configuration of each.
    """

    def __init__(
        self,
        count: int = 3,
        extra: Callable[[int], Mapping[str, Any]] | Mapping[str, Any] | None = None,
        *,
        directory: Path | None = None,
        env: Mapping[str, str] | None = None,
        command: Sequence[str] | None = None,
    ) -> None:
        self._own_directory = directory is None
        self.directory = directory or Path(tempfile.mkdtemp(prefix="meshtest-servers-"))
        self.node_ids = [str(uuid.uuid4()) for _ in range(count)]
        self.all: list[AgentProcess] = []
        ports = free_ports([f"{name}{number}" for number in range(count) for name in _PORTS])
        for number in range(count):
            folder = self.directory / f"s{number}"
            raft = folder / "data" / "raft"
            raft.mkdir(parents=True, mode=0o700)
            (folder / "data" / "node-id").write_text(self.node_ids[number])
            given = extra(number) if callable(extra) else extra
            config = {"node_name": f"s{number}", "bootstrap_expect": count if count > 1 else 1, **(given or {})}
            own = {name: ports[f"{name}{number}"] for name in _PORTS}
            server = AgentProcess.server(config, ports=own, directory=folder, env=env, command=command)
            server._own_directory = False
            self.all.append(server)
        if count > 1:
            for server in self.all:
                assert server.config is not None
                server.config = {**self.joining, **server.config}

    @property
    def joining(self) -> dict[str, Any]:
        """The configuration with which an agent finds these servers."""
        return {
            "retry_join": [f"127.0.0.1:{server.ports['serf_lan']}" for server in self.all],
            "retry_interval": "1s",
        }

    def __enter__(self) -> Servers:
        try:
            return self.start()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        for server in self.all:
            if server.alive:
                server.process.terminate()  # type: ignore[union-attr]
        for server in self.all:
            server.stop()
        if self._own_directory and not os.environ.get("MESHTEST_KEEP"):
            shutil.rmtree(self.directory, ignore_errors=True)

    def start(self) -> Servers:
        """Start those that do not run, all at once, and wait until each knows a leader."""
        for server in self.all:
            if not server.alive:
                server.start(ready=False)
        for server in self.all:
            server.wait_ready()
        return self

    def __getitem__(self, number: int) -> AgentProcess:
        return self.all[number]

    @property
    def running(self) -> list[AgentProcess]:
        return [server for server in self.all if server.alive]

    def leader(self, within_s: float = 60.0) -> AgentProcess:
        """The running server that leads, and that a majority of the running ones names."""
        deadline = time.monotonic() + within_s
        while True:
            found = self._leader()
            if found is not None:
                return found
            if time.monotonic() > deadline:
                raise AgentFailed("no leader:\n" + "\n".join(server.log()[-1500:] for server in self.all))
            time.sleep(0.02)

    def followers(self) -> list[AgentProcess]:
        """The running servers that do not lead."""
        leader = self.leader()
        return [server for server in self.running if server is not leader]

    def _leader(self) -> AgentProcess | None:
        named: dict[str, int] = {}
        for server in self.running:
            try:
                address = str(server.get("/v1/status/leader", timeout_s=2.0))
            except (OSError, AssertionError):
                continue
            named[address] = named.get(address, 0) + 1
        for server in self.running:
            if named.get(f"127.0.0.1:{server.ports['server']}", 0) * 2 > len(self.running):
                return server
        return None


_CLIENT_PORTS = ("http", "dns", "server", "serf_lan")
_PORTS = ("http", "dns", "server", "serf_lan", "serf_wan", "grpc", "grpc_tls")
