"""Two clusters in one process on virtual time that peer over a wire in memory; it can be cut, and loses nothing else.

What may change here: further faults of the wire.
"""

from __future__ import annotations

import asyncio
from typing import Any

from meshagent.agent.grpc.channel import Channel
from meshagent.agent.grpc.server import GrpcServer
from meshagent.agent.peering import keeper as keeping
from meshagent.agent.peering.keeper import PeeringKeeper
from meshagent.agent.peering.operations import Dialer
from meshagent.agent.peering.serving import SERVICE
from meshagent.clock import Tasks
from meshagent.errors import Unavailable
from meshtest.inprocess import InProcess

__all__ = ["MemoryTransport", "PeerCluster", "joined"]


class MemoryTransport(asyncio.Transport):
    """One end of a wire: what is written arrives at the other end's protocol, in order, a turn of the loop later."""

    def __init__(self, remote: str) -> None:
        super().__init__({"peername": (remote, 1)})
        self.own: asyncio.Protocol | None = None
        self.other: MemoryTransport | None = None
        self.held: list[bytes] = []
        self.reading = True
        self.closed = False

    def write(self, data: Any) -> None:
        other = self.other
        if not self.closed and other is not None:
            other.held.append(bytes(data))
            asyncio.get_running_loop().call_soon(other.deliver)

    def deliver(self) -> None:
        while self.held and self.reading and not self.closed and self.own is not None:
            self.own.data_received(self.held.pop(0))

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True
        self.deliver()

    def get_write_buffer_size(self) -> int:
        return sum(map(len, self.other.held)) if self.other is not None else 0

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(lambda: loop.call_soon(self.abort))  # what was written leaves first

    def abort(self) -> None:
        for end in (self, self.other):
            if end is not None and not end.closed:
                end.closed = True
                if end.own is not None:
                    end.own.connection_lost(None)


def joined(dialing: Channel, accepting: Channel) -> tuple[MemoryTransport, MemoryTransport]:
    """Two channels at the ends of a wire."""
    here, there = MemoryTransport("acceptor"), MemoryTransport("dialer")
    here.other, there.other = there, here
    here.own, there.own = dialing, accepting
    dialing.connection_made(here)
    accepting.connection_made(there)
    return here, there


class PeerCluster:
    """A cluster of one server with the parts that peer; `clock` may be shared with another."""

    def __init__(self) -> None:
        self.inside = InProcess()
        self.agent = self.inside.agent
        self.store = self.inside.store
        self.keeper = PeeringKeeper(self.agent, None)
        self.agent.extras["peering"] = self
        self.server = GrpcServer(self.agent, [SERVICE])
        self.agent.extras["peering_dialer"] = Dialer(keeping.exchange_secret)
        self.wires: list[MemoryTransport] = []
        self.tasks = Tasks()
        self.reachable = True
        self.dialed = 0

    async def start(self) -> None:
        await self.inside.start()
        assert self.inside.mesh.authority is not None
        await self.inside.mesh.authority.initialise()
        self.lead()

    def lead(self) -> None:
        self.tasks.start(self.keeper.lead(), name="leader")

    async def depose(self) -> None:
        await self.tasks.cancel()

    async def stop(self) -> None:
        await self.tasks.cancel()
        await self.server.stop()
        await self.inside.stop()

    async def dial(self, address: str, context: object, server_name: str, max_message: int) -> Channel:
        """In place of `channel.dial`: a connection to this cluster."""
        self.dialed += 1
        if not self.reachable:
            raise Unavailable(f"{address} cannot be reached: cut")
        dialing = Channel(dials=True, max_message=max_message)
        self.wires += joined(dialing, self.server.accept())
        return dialing

    def cut(self) -> None:
        """Every connection breaks."""
        for wire in self.wires:
            wire.abort()
        self.wires.clear()

    async def put(self, path: str, value: Any = None) -> None:
        await self.inside.put(path, value)

    async def get(self, path: str) -> Any:
        return (await self.inside.ask("GET", path)).json

    async def post(self, path: str, value: Any) -> Any:
        return await self.inside.ask("POST", path, value)
