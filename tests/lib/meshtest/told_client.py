"""I/O edge: `meshagent`, but its client agents are told their servers: for tests of clients without gossip.

`MESHTEST_SERVERS` has the RPC addresses, separated by commas.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from meshagent.agent.daemon import Daemon
from meshagent.agent.servers import Server
from meshtest.process import AgentProcess, free_ports

__all__ = ["client_process", "told"]

_VARIABLE = "MESHTEST_SERVERS"


def told(addresses: Iterable[str]) -> dict[str, Any]:
    """Arguments for `AgentProcess`."""
    return {
        "command": [sys.executable, "-m", "meshtest.told_client"],
        "env": {_VARIABLE: ",".join(addresses), "PYTHONPATH": str(Path(__file__).parent.parent)},
    }


def client_process(servers: Iterable[AgentProcess], name: str = "c1", **extra: Any) -> AgentProcess:
    """A client agent that knows these servers; not started."""
    names = ("http", "dns", "server", "serf_lan", "serf_wan")
    ports = {**free_ports(names), "grpc": -1, "grpc_tls": -1}
    config = {"server": False, "bootstrap_expect": 0, "node_name": name, "ports": ports, **extra}
    addresses = [f"127.0.0.1:{server.ports['server']}" for server in servers]
    return AgentProcess.server(config, ports=ports, **told(addresses))


def _main() -> None:
    from meshagent.agent.cli import main

    start = Daemon._start_client

    def start_told(self: Daemon, client: Any) -> None:
        start(self, client)
        client.set_servers([Server(address) for address in os.environ[_VARIABLE].split(",")])

    Daemon._start_client = start_told  # type: ignore[method-assign]
    main()


if __name__ == "__main__":
    _main()
