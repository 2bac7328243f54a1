"""I/O edge: servers and client agents in this process, joined by real RPC on loopback.

The servers share one store and one log in memory (what replication gives real ones); each has its own RPC port, so that
one can be stopped while another lives. Clients have everything a client agent has but gossip: their servers are told.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

from meshagent.agent.client import Client
from meshagent.agent.core import Agent
from meshagent.agent.http.server import HttpServer
from meshagent.agent.http.settings import HttpSettings
from meshagent.agent.local import LocalState
from meshagent.agent.rpc.serving import Serving
from meshagent.agent.self_registration import node_row
from meshagent.agent.servers import Server
from meshagent.agent.settings import local_settings
from meshagent.agent.sync import AntiEntropy
from meshagent.catalog import commands
from meshagent.catalog.rpc.hello import Identity
from meshagent.catalog.rpc.server import RpcServer
from meshagent.catalog.rpc.settings import RpcSettings
from meshagent.catalog.store import Store
from meshagent.clock import SystemClock, Tasks
from meshagent.dns.server import DnsServer
from meshagent.dns.settings import DnsSettings
from meshagent.metrics import Metrics
from meshtest.httpapi import Answer, Api, Log, make_agent
from meshtest.inprocess import server_config

__all__ = ["ClientAgent", "ClientWorld", "ServerPort", "until"]

FAST = RpcSettings(hold_timeout_s=2.0, redial_first_s=0.02, redial_longest_s=0.1)


class ServerPort:
    """One server: an agent's state behind an RPC port."""

    def __init__(self, agent: Agent, name: str, *, node_id: str = "", port: int = 0) -> None:
        self.agent = agent
        self.name = name
        self.serving = Serving(agent, HttpSettings())
        self.rpc = RpcServer(
            Identity(node_id or f"id-{name}", name, "dc1", "c1"),
            clock=agent.clock,
            metrics=agent.metrics,
            methods=self.serving.methods,
            settings=FAST,
        )
        host, self.port = self.rpc.listen("127.0.0.1", port)
        self.server = Server(f"{host}:{self.port}", node_id or f"id-{name}")
        self._tasks = Tasks()
        self._tasks.start(self.serving.run(), name="standing")

    async def stop(self) -> None:
        await self._tasks.cancel()
        await self.rpc.stop()


class ClientAgent:
    """A client agent with its HTTP API, DNS and anti-entropy."""

    def __init__(self, name: str, settings: HttpSettings | None = None) -> None:
        clock = SystemClock()
        rng = random.Random(name)
        self.tasks = Tasks()
        config = server_config(server=False, node_name=name, bootstrap_expect=0)
        self.client = Client(config, f"id-{name}", clock=clock, rng=rng, metrics=Metrics(), tasks=self.tasks)
        self.client.upstream.settings = FAST
        self.local = LocalState(node_name=name, datacenter="dc1", clock=clock, settings=local_settings(config), rng=rng)
        self.local.set_node(node_row(node_id="", name=name, datacenter="dc1", address="127.0.0.9"))
        nothing: Any = None
        self.agent = Agent(
            config=config,
            clock=clock,
            rng=rng,
            metrics=Metrics(),
            logs=nothing,
            tasks=self.tasks,
            store=Store(),
            log=self.client.log,
            local=self.local,
            node_name=name,
            node_id=f"id-{name}",
            datacenter="dc1",
            lifecycle=nothing,
            upstream=self.client.upstream,
        )
        self.http = HttpServer(self.agent, settings or HttpSettings())
        self.dns = DnsServer(self.agent.store, DnsSettings(), clock, rng, None, "dc1", name, view=self.client.names)
        self.sync = AntiEntropy(
            self.local, self.agent.store, self.agent.write, clock, rng, self.tasks, read=self.client.own_rows
        )
        self.api: Api

    async def start(self, *servers: ServerPort) -> ClientAgent:
        _, port = await self.http.listen("127.0.0.1", 0)
        self.api = Api(self.agent, self.http, port)
        await self.client.start()
        self.client.run(self.http)
        self.client.set_servers([server.server for server in servers])
        return self

    async def stop(self) -> None:
        await self.sync.stop()
        await self.api.stop()
        await self.dns.stop()
        await self.client.stop()
        await self.tasks.cancel()

    async def get(self, target: str, **headers: str) -> Any:
        return await self.api.get(target, **headers)


class ClientWorld:
    """Servers of one datacenter, and client agents that know them."""

    def __init__(self) -> None:
        self.agent = make_agent(SystemClock())
        self.log: Log = self.agent.log  # type: ignore[assignment]
        self.servers: list[ServerPort] = []
        self._stops: list[Callable[[], Any]] = []
        self._api: Api | None = None

    def server(self, name: str = "s1", *, agent: Agent | None = None, node_id: str = "") -> ServerPort:
        made = ServerPort(agent or self.agent, name, node_id=node_id)
        self.servers.append(made)
        self._stops.append(made.stop)
        return made

    async def ask(self, method: str, target: str, body: bytes = b"") -> Answer:
        """Ask the servers' own HTTP API."""
        if self._api is None:
            http = HttpServer(self.agent, HttpSettings())
            _, port = await http.listen("127.0.0.1", 0)
            self._api = Api(self.agent, http, port)
            self._stops.append(self._api.stop)
        return await self._api.ask(method, target, body)

    async def client(self, *servers: ServerPort, name: str = "c1", settings: HttpSettings | None = None) -> ClientAgent:
        made = ClientAgent(name, settings)
        self._stops.append(made.stop)
        return await made.start(*servers)

    async def write(self, command: commands.Command) -> Any:
        return await self.agent.write(command)

    async def stop(self) -> None:
        for stop in reversed(self._stops):
            await stop()


async def until(condition: Callable[[], Any], timeout: float = 5) -> None:
    """Let the loop run until `condition()` holds."""
    async with asyncio.timeout(timeout):
        while not condition():
            await asyncio.sleep(0.001)
