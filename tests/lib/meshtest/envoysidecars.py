"""I/O edge: real Envoys as sidecars: started from what `connect envoy -bootstrap` prints, told everything over xDS.

What may change here: further ways to look at one.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from meshtest.clients import http_request
from meshtest.meshpeers import envoy_program
from meshtest.peers import Peer, running
from meshtest.process import AgentProcess, meshagent_command
from meshtest.sidecars import free_port

__all__ = ["EnvoySidecar", "bootstrap", "envoy_of", "envoy_sidecar"]


class EnvoySidecar:
    """A running one."""

    def __init__(self, peer: Peer, admin: int) -> None:
        self.peer = peer
        self.admin = admin

    def get(self, path: str) -> str:
        """What its admin page says."""
        return http_request(("127.0.0.1", self.admin), "GET", path).body.decode()

    def stats(self, prefix: str) -> dict[str, int]:
        """Counters and gauges whose names begin so."""
        rows = json.loads(self.get(f"/stats?format=json&filter=^{prefix}")).get("stats", [])
        return {row["name"]: row["value"] for row in rows if "value" in row}

    def clusters(self) -> set[str]:
        """The names of those that it was told of and has in use."""
        dump = json.loads(self.get("/config_dump?resource=dynamic_active_clusters"))
        return {row["cluster"]["name"] for row in dump.get("configs", [])}

    def listeners(self) -> set[str]:
        """The same for listeners."""
        dump = json.loads(self.get("/config_dump?resource=dynamic_listeners"))
        return {row["name"] for row in dump.get("configs", []) if "active_state" in row}

    @property
    def log(self) -> str:
        """What it has printed."""
        return self.peer.log()


def bootstrap(agent: AgentProcess, *flags: str, grpc: str = "", admin: int = 0) -> dict[str, Any]:
    """What `connect envoy -bootstrap` prints; `grpc` is where xDS is, without it the plain port."""
    line = [*meshagent_command(), "connect", "envoy", "-bootstrap", "-http-addr", agent.url]
    line += [
        "-grpc-addr",
        grpc or f"127.0.0.1:{agent.ports['grpc']}",
        "-admin-bind",
        f"127.0.0.1:{admin or free_port()}",
    ]
    done = subprocess.run([*line, *flags], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr or done.stdout
    made: dict[str, Any] = json.loads(done.stdout)
    return made


@contextlib.contextmanager
def envoy_sidecar(
    agent: AgentProcess, folder: Path, service: str, *flags: str, grpc: str = "", level: str = "warning"
) -> Iterator[EnvoySidecar]:
    """The Envoy of a registered sidecar, as soon as its admin page answers."""
    admin = free_port()
    made = bootstrap(agent, "-sidecar-for", service, *flags, grpc=grpc, admin=admin)
    with envoy_of(made, folder, service, admin, level) as found:
        yield found


@contextlib.contextmanager
def envoy_of(
    made: dict[str, Any], folder: Path, name: str, admin: int, level: str = "warning"
) -> Iterator[EnvoySidecar]:
    """An Envoy with this bootstrap."""
    place = folder / name
    place.mkdir(exist_ok=True)
    path = place / "bootstrap.json"
    path.write_text(json.dumps(made))
    # Drained listeners are left alone for ten minutes: a leaf that is new with the agent must not cut connections.
    argv = [envoy_program(), "-c", str(path), "--concurrency", "1", "--use-dynamic-base-id", "-l", level]
    with running(argv, place, port=admin, within_s=60.0) as peer:
        yield EnvoySidecar(peer, admin)
