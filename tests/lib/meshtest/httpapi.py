"""I/O edge: an agent with a log in memory, and its HTTP API on a loopback port, asked byte by byte.

Source: design.md "tests own the time"; used by tests/agent/http. What may change here: further ways to ask.
"""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from meshagent.agent.coordinate_batches import CoordinateBatches
from meshagent.agent.core import Agent
from meshagent.agent.http.server import HttpServer
from meshagent.agent.operator_calls import all_methods
from meshagent.agent.server_calls import server_methods
from meshagent.catalog import commands
from meshagent.catalog.log import MemoryLog
from meshagent.catalog.model import Check, Node, Service
from meshagent.catalog.rpc.hello import SERVER, Peer
from meshagent.catalog.store import Store
from meshagent.clock import Clock, Tasks, VirtualClock
from meshagent.errors import NoLeader
from meshagent.metrics import Metrics

__all__ = ["Answer", "Api", "LeaderHere", "Log", "Wire", "instance", "make_agent", "request"]


class LeaderHere:
    """`LeaderCalls` of a server that leads or knows no leader."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    async def call(
        self, method: str, payload: bytes = b"", timeout_s: float | None = None, *, again: bool = True
    ) -> bytes:
        peer = Peer("", "n1", "dc1", "", SERVER, 1, 0)
        methods = {**server_methods(self._agent), **all_methods(self._agent)}
        answer: Any = methods[method](peer, payload)
        found: bytes = await answer
        return found


class Log(MemoryLog):
    """A log in memory whose leadership a test can take away."""

    leading = True
    contact_ms = 0
    barriers = 0
    refuse: Exception | None = None

    @property
    def is_leader(self) -> bool:
        return self.leading

    @property
    def leader(self) -> str:
        return "127.0.0.1:8300" if self.leading or self.following else ""

    @property
    def last_contact_ms(self) -> int:
        return self.contact_ms

    #: Somebody else leads: reads wait for `gates`, which the test opens.
    following = False
    gates: list[asyncio.Future[None]]

    async def read_barrier(self, *, consistent: bool = False) -> None:
        gate = self.read_gate(consistent=consistent)
        if gate is not None:
            await gate

    def read_gate(self, *, consistent: bool = False) -> asyncio.Future[None] | None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.following:
            self.gates = [*getattr(self, "gates", ()), future]
        elif not self.leading:
            future.set_exception(NoLeader())
        elif not consistent:
            return None
        else:
            self.barriers += 1
            future.set_result(None)
        return future

    def propose(self, command: bytes, request_id: bytes | None = None) -> asyncio.Future[Any]:
        if self.refuse is not None:
            future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            future.set_exception(self.refuse)
            return future
        return super().propose(command, request_id)


def make_agent(clock: Clock | None = None, log: type[MemoryLog] | None = None) -> Agent:
    """An agent with a log in memory and no local part; on virtual time unless it is given a clock."""
    store = Store()
    nothing: Any = SimpleNamespace()
    config: Any = SimpleNamespace(
        session_ttl_min=10.0,
        history=SimpleNamespace(versions=0, max_bytes=1 << 20),
        limits=SimpleNamespace(kv_max_value_size=524_288),
        performance=SimpleNamespace(rpc_hold_timeout=7.0),
        connect=SimpleNamespace(enabled=True),
        acl=SimpleNamespace(enabled=False, default_policy="allow"),
        default_intention_policy="",
    )
    agent = Agent(
        config=config,
        clock=clock or VirtualClock(),
        rng=random.Random(1),
        metrics=Metrics(),
        logs=nothing,
        tasks=Tasks(),
        store=store,
        log=(log or Log)(store),
        local=nothing,
        node_name="n1",
        node_id="",
        datacenter="dc1",
        lifecycle=nothing,
    )
    agent.extras["leader_calls"] = LeaderHere(agent)
    agent.extras["coordinates"] = CoordinateBatches(agent)
    return agent


def instance(
    node: str, service: str, *, number: int = 0, status: str = "passing", tags: tuple[str, ...] = (), **more: Any
) -> commands.Register:
    """A registration of one instance with one check."""
    service_id = f"{service}{number}"
    return commands.Register(
        Node(name=node, address=f"10.0.0.{number + 1}", datacenter="dc1", **more),
        Service(id=service_id, name=service, port=8000 + number, tags=tags),
        (Check(node=node, check_id=f"c-{service_id}", name="c", status=status, service_id=service_id),),
    )


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    raw: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def index(self) -> int:
        return int(self.headers["x-consul-index"])


class Wire:
    """One connection to the API, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self, method: str = "GET") -> Answer:
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 5)
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
        body = b""
        if method != "HEAD" and "content-length" in headers:
            body = await asyncio.wait_for(self.reader.readexactly(int(headers["content-length"])), 5)
        return Answer(int(lines[0].split(" ")[1]), headers, body, head + body)

    async def ask(self, method: str, target: str, body: bytes = b"", **headers: str) -> Answer:
        self.send(request(method, target, body, **headers))
        return await self.answer(method)

    async def closed(self) -> bool:
        """Whether the server closes now; bytes that still come are dropped."""
        try:
            while await asyncio.wait_for(self.reader.read(65536), 5):
                pass
        except ConnectionError:
            pass
        return True


def request(method: str, target: str, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body or method in {"PUT", "POST"}:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Api:
    """A running API and a way to ask it."""

    def __init__(self, agent: Agent, server: HttpServer, port: int) -> None:
        self.agent = agent
        self.server = server
        self.port = port
        self._wires: list[Wire] = []

    async def connect(self) -> Wire:
        wire = Wire(*await asyncio.open_connection("127.0.0.1", self.port, limit=2**24))
        self._wires.append(wire)
        return wire

    async def ask(self, method: str, target: str, body: Any = b"", **headers: str) -> Answer:
        """Ask on a fresh connection; a body that is not bytes is sent as JSON."""
        wire = await self.connect()
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = await wire.ask(method, target, data, **headers)
        wire.writer.close()
        return answer

    async def get(self, target: str, **headers: str) -> Answer:
        return await self.ask("GET", target, **headers)

    async def put(self, target: str, body: Any = b"", **headers: str) -> Answer:
        return await self.ask("PUT", target, body, **headers)

    async def write(self, command: commands.Command) -> Any:
        return await self.agent.write(command)

    @property
    def hits(self) -> int:
        """How many reads were answered from remembered bytes."""
        return sum(entry.hits for entry in set(self.server.hot.entries.values()))

    async def stop(self) -> None:
        for wire in self._wires:
            wire.writer.close()
        await self.server.stop(0.1)
        await self.agent.tasks.cancel()
