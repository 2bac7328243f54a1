"""I/O edge: many Envoys that are none, on real connections to one agent: how long a change takes to all of them.

Each opens a stream as an Envoy does, asks for the endpoints of its clusters, and takes what it is told. They share one
event loop and know nothing of what is in a resource but its name.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from meshagent.agent.grpc.channel import Call, Channel
from meshagent.agent.grpc.connection import Received
from meshagent.agent.grpc.protobuf import BYTES, MANY, TEXT, Field, Schema, nested
from meshagent.connect.envoy.resources import CLUSTER, ENDPOINTS, LISTENER

__all__ = ["Fleet", "Member"]

DELTA = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"


class _Resource:
    def __init__(self, name: str = "", version: str = "") -> None:
        self.name, self.version = name, version


class _Told:
    def __init__(
        self, resources: tuple[_Resource, ...] = (), type_url: str = "", nonce: str = "", removed: tuple[str, ...] = ()
    ) -> None:
        self.resources, self.type_url, self.nonce, self.removed = resources, type_url, nonce, removed


class _Asked:
    def __init__(self, type_url: str, names: tuple[str, ...] = (), nonce: str = "", node: bytes = b"") -> None:
        self.type_url, self.names, self.nonce, self.node = type_url, names, nonce, node


RESOURCE: Schema[_Resource] = Schema(_Resource, (Field(1, "version", TEXT), Field(3, "name", TEXT)))
TOLD: Schema[_Told] = Schema(
    _Told,
    (
        Field(2, "resources", nested(RESOURCE), MANY),
        Field(4, "type_url", TEXT),
        Field(5, "nonce", TEXT),
        Field(6, "removed", TEXT, MANY),
    ),
)
ASKED: Schema[_Asked] = Schema(
    _Asked,
    (Field(1, "node", BYTES), Field(2, "type_url", TEXT), Field(3, "names", TEXT, MANY), Field(6, "nonce", TEXT)),
)
#: Of a node nothing but its id.
NODE: Schema[_Resource] = Schema(_Resource, (Field(1, "name", TEXT),))


class Member:
    """One of them: `versions` by type and name, `bytes` told."""

    def __init__(self, fleet: Fleet, proxy_id: str) -> None:
        self.fleet = fleet
        self.proxy_id = proxy_id
        self.versions: dict[str, dict[str, str]] = {}
        self.received = 0
        self.call: Call | None = None

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        _, channel = await loop.create_connection(
            lambda: Channel(dials=True, max_message=1 << 26), "127.0.0.1", self.fleet.port
        )
        self.call = call = channel.call(DELTA, "agent")
        node = NODE.encode(_Resource(self.proxy_id))
        call.send(ASKED.encode(_Asked(CLUSTER, node=node)))
        listens = False
        while isinstance(event := await call.next(), Received):
            self.received += len(event.message)
            told = TOLD.decode(event.message)
            held = self.versions.setdefault(told.type_url, {})
            for name in told.removed:
                held.pop(name, None)
            new = [one.name for one in told.resources if one.name not in held]
            held.update((one.name, one.version) for one in told.resources)
            if told.type_url == CLUSTER and (names := tuple(name for name in new if "." in name)):
                call.send(ASKED.encode(_Asked(ENDPOINTS, names)))
            call.send(ASKED.encode(_Asked(told.type_url, nonce=told.nonce)))
            if not listens:
                listens = True
                call.send(ASKED.encode(_Asked(LISTENER)))
            self.fleet.moved.set()


class Fleet:
    """All of them."""

    def __init__(self, port: int, proxy_ids: list[str]) -> None:
        self.port = port
        self.members = [Member(self, proxy_id) for proxy_id in proxy_ids]
        self.moved = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> float:
        """Connect all; the seconds until each has a listener."""
        begun = time.perf_counter()
        self._tasks = [asyncio.ensure_future(member.run()) for member in self.members]
        await self.all_have(lambda member: bool(member.versions.get(LISTENER)))
        return time.perf_counter() - begun

    async def all_have(self, condition: Callable[[Member], bool]) -> None:
        """Return when each of them does."""
        left = list(self.members)
        while left := [member for member in left if not condition(member)]:
            self.moved.clear()
            await self.moved.wait()

    async def stop(self) -> None:
        for member in self.members:
            if member.call is not None:
                member.call.close()
        await asyncio.gather(*self._tasks)
