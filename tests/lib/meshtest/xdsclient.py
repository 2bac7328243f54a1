"""An Envoy without the proxy: opens a stream over a wire in memory, takes or refuses what it is told, and remembers."""

from __future__ import annotations

from typing import Any

from envoy.service.discovery.v3 import discovery_pb2

from meshagent.agent.grpc.channel import Channel
from meshagent.agent.grpc.connection import Finished, Received
from meshagent.agent.grpc.server import GrpcServer
from meshagent.agent.grpc.table import SERVICES
from meshagent.agent.xds.pacing import Pace
from meshagent.connect.envoy.resources import CLUSTER, LISTENER
from meshtest.inprocess import InProcess
from meshtest.peer_clusters import joined

__all__ = ["DELTA", "XdsClient", "XdsWorld"]

DELTA = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"


class XdsWorld:
    """An agent with a mesh, and the gRPC services of its table."""

    def __init__(self, inside: InProcess) -> None:
        self.inside = inside
        self.agent = inside.agent
        self.server = GrpcServer(self.agent, SERVICES)
        self.agent.extras["xds_pace"] = Pace(self.agent.config.xds.update_max_per_second)

    async def start(self) -> None:
        await self.inside.start()
        assert self.inside.mesh.authority is not None
        await self.inside.mesh.authority.initialise()

    async def stop(self) -> None:
        self.inside.mesh.proxies.release()
        await self.server.stop()
        await self.inside.stop()

    async def register(self, name: str = "web", **proxy: Any) -> None:
        """A service with a sidecar."""
        sidecar = {"Port": 20_000, "Proxy": proxy}
        body = {"Name": name, "Port": 80, "Connect": {"SidecarService": sidecar}}
        await self.inside.put("/v1/agent/service/register", body)


class XdsClient:
    """One stream, as an Envoy that has just started."""

    def __init__(self, world: XdsWorld, proxy_id: str = "web-sidecar-proxy", token: str = "", version: str = "1.40.0"):
        self.world = world
        channel = Channel(dials=True, max_message=1 << 24)
        self.wire = joined(channel, world.server.accept())
        self.call = channel.call(DELTA, "server", [("x-consul-token", token)] if token else [])
        self.proxy_id = proxy_id
        self.version = tuple(map(int, version.split(".")))
        self.held: dict[str, dict[str, Any]] = {}
        self.refuses: set[str] = set()
        self.first = True
        #: What its bootstrap says beside the id.
        self.metadata: dict[str, str] = {}

    def ask(self, type_url: str, *names: str, nonce: str = "", error: str = "") -> None:
        """Send a request; the first one says who asks."""
        message = discovery_pb2.DeltaDiscoveryRequest(
            type_url=type_url, resource_names_subscribe=names, response_nonce=nonce
        )
        if self.first and self.proxy_id:
            message.node.id = self.proxy_id
            message.node.metadata.update(self.metadata)
            found = message.node.user_agent_build_version.version
            found.major_number, found.minor_number, found.patch = self.version
        self.first = False
        if error:
            message.error_detail.code, message.error_detail.message = 13, error
        self.call.send(message.SerializeToString())

    def begin(self) -> None:
        """Ask for clusters and listeners."""
        self.ask(CLUSTER)
        self.ask(LISTENER)

    async def hear(self) -> Finished | None:
        """Take everything that has come; how the stream ended, None while it lasts."""
        while True:
            await self.world.inside.settle()
            if self.call.events.empty():
                return None
            event = await self.call.next()
            if isinstance(event, Finished):
                return event
            assert isinstance(event, Received), event
            self.take(discovery_pb2.DeltaDiscoveryResponse.FromString(event.message))

    def take(self, told: Any) -> None:
        held = self.held.setdefault(told.type_url, {})
        refused = [one.name for one in told.resources if one.name in self.refuses]
        if not refused:
            for name in told.removed_resources:
                held.pop(name, None)
            held.update({one.name: one for one in told.resources})
        self.ask(told.type_url, nonce=told.nonce, error=f"bad: {refused}" if refused else "")
