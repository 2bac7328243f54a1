"""I/O edge: a real `serf agent` (Debian package `serf`) on loopback, and what it says of its pool."""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from meshagent.agent.gossip.node import show_address
from meshtest.peers import Peer, program, running
from meshtest.process import free_ports


@dataclass(frozen=True, slots=True)
class SerfAgent:
    name: str
    port: int
    rpc: int
    process: Peer
    host: str = "127.0.0.1"

    @property
    def address(self) -> tuple[str, int]:
        return (self.host, self.port)

    def ask(self, *words: str) -> str:
        """Output of `serf WORDS` against this agent."""
        argv = [program("serf"), words[0], f"-rpc-addr=127.0.0.1:{self.rpc}", *words[1:]]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def members(self) -> dict[str, str]:
        """Name -> alive, leaving, left or failed."""
        rows = json.loads(self.ask("members", "-format=json"))["members"]
        return {row["name"]: row["status"] for row in rows}

    def tags(self, name: str) -> dict[str, str]:
        rows = json.loads(self.ask("members", "-format=json", f"-name={name}"))["members"]
        return dict(rows[0]["tags"])


@contextlib.contextmanager
def serf_agent(
    directory: Path, name: str, *flags: str, key: bytes | None = None, host: str = "127.0.0.1"
) -> Iterator[SerfAgent]:
    """A running agent with the `local` profile; `flags` are `serf agent`'s."""
    ports = free_ports(["gossip", "rpc"])
    argv = [
        program("serf"),
        "agent",
        f"-node={name}",
        f"-bind={show_address((host, ports['gossip']))}",
        f"-rpc-addr=127.0.0.1:{ports['rpc']}",
        "-profile=local",
        *flags,
    ]
    if key is not None:
        argv.append("-encrypt=" + base64.b64encode(key).decode())
    folder = directory / name
    folder.mkdir()
    with running(argv, folder, port=ports["rpc"]) as process:
        yield SerfAgent(name, ports["gossip"], ports["rpc"], process, host)
