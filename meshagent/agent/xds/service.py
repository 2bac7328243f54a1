"""I/O edge: the xDS service of an agent: its streams, and what they share.

`envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources`, nothing else: the state-of-the-world
protocol is not there, as in Consul.

Source: surface rows X4, N8; developer.hashicorp.com/consul/docs/agent/monitor/telemetry (`xds.server.*`). What may
change here: what streams share.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from meshagent.agent.gossip.member import Status
from meshagent.agent.grpc.connection import FAILED_PRECONDITION, INVALID_ARGUMENT, RESOURCE_EXHAUSTED
from meshagent.agent.grpc.methods import DIALOGUE, Method, Refused, Service
from meshagent.agent.server_tags import read_server
from meshagent.agent.xds.capacity import drained, ideal_streams
from meshagent.agent.xds.pacing import Pace

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshagent.agent.core import Agent
    from meshagent.agent.grpc.channel import Call
    from meshagent.agent.mesh import Mesh
    from meshagent.agent.xds.messages import Peer
    from meshagent.agent.xds.stream import Stream
    from meshagent.connect.envoy.versioned import VersionedResources
    from meshagent.connect.snapshot import ProxySnapshot
    from meshagent.metrics import Metrics

__all__ = ["SERVICE", "XdsService"]

#: A first request has the extensions of its Envoy; one of who comes back the version of each resource.
MAX_REQUEST = 4 * 1024 * 1024
VERSION = (("version", "v3"),)
#: What a bootstrap says beside the proxy's id when its registration is in the catalog only (surface row X1).
NODE = "node_name"


class XdsService:
    """Made with the first stream."""

    def __init__(self, agent: Agent) -> None:
        from meshagent.agent.xds.encoding import Encoder

        self.agent = agent
        self._mesh: Mesh = agent.extras["mesh"]
        self._encoder = Encoder()
        self._pace: Pace = agent.extras["xds_pace"]
        self.streams: set[Stream] = set()
        #: The most streams of proxies without an agent; 0 for any number.
        self.ideal = 0
        agent.metrics.collect(self._balance)

    async def serve(self, call: Call) -> None:
        """One stream, until it ends."""
        from meshagent.agent.xds.stream import Stream

        stream = Stream(self, call)
        self.streams.add(stream)
        try:
            await stream.run()
        finally:
            self.streams.discard(stream)
            self.count()

    @property
    def ending(self) -> bool:
        """The agent stops: snapshots are not waited for any more."""
        return self._mesh.proxies.released

    def count(self) -> None:
        """Say how many streams there are."""
        self._gauges(self.agent.metrics)

    def admit(self, stream: Stream) -> None:
        """A stream is about to be told everything. Raises Refused: another server has more room."""
        if 0 < self.ideal < len(self._agentless()) and stream.peer.metadata.get(NODE):
            raise too_many()

    def _agentless(self) -> list[Stream]:
        return [one for one in self.streams if one.authorized and one.peer.metadata.get(NODE)]

    def _balance(self, metrics: Metrics) -> None:
        """Once an interval of metrics: how many streams should be here? Some of those too many are sent elsewhere."""
        self._gauges(metrics)
        agent = self.agent
        if agent.upstream is not None or not agent.config.performance.enable_xds_load_balancing:
            self.ideal = 0
            return
        proxies = sum(bool(service.kind) for service in agent.store.registrations.services.values())
        alive = [one for one in agent.extras["members"].members() if one.status == Status.ALIVE]
        self.ideal = ideal_streams(proxies, sum(read_server(one, agent.datacenter) is not None for one in alive))
        metrics.gauge("xds.server.idealStreamsMax", self.ideal)
        agentless = sorted(self._agentless(), key=lambda one: one.peer.id)
        for stream in agent.rng.sample(agentless, drained(len(agentless), self.ideal)):
            metrics.incr("xds.server.streamDrained")
            stream.leave(too_many())

    def _gauges(self, metrics: Metrics) -> None:
        known = sum(stream.authorized for stream in self.streams)
        metrics.gauge("xds.server.streams", known, VERSION)
        metrics.gauge("xds.server.streamsUnauthenticated", len(self.streams) - known)

    async def snapshot(
        self, peer: Peer, digest: str, timeout_s: float, seen: Callable[[ProxySnapshot], ProxySnapshot]
    ) -> tuple[ProxySnapshot, str]:
        """That of a proxy, as `Proxies.get`; one that names a node may be in the catalog alone."""
        node = peer.metadata.get("node_name", "")
        return await self._mesh.proxies.get(peer.id, digest, timeout_s, seen, node)

    async def registered(self, peer: Peer, timeout_s: float) -> None:
        """Return when something has happened to the registration of a proxy, or after a while."""
        woken = asyncio.Event()
        subscriptions = [self.agent.local.watches.subscribe([("agent-service", peer.id)], woken.set)]
        if node := peer.metadata.get(NODE, ""):
            subscriptions.append(self.agent.store.watches.subscribe([("node", node.lower())], woken.set))
        timer = self.agent.tasks.start(self.agent.clock.sleep(timeout_s), name="xDS registration")
        timer.add_done_callback(lambda _: woken.set())
        try:
            await woken.wait()
        finally:
            timer.cancel()
            for subscription in subscriptions:
                subscription.cancel()

    async def turn(self) -> None:
        """Wait for a turn to make resources of a snapshot."""
        wait_s = self._pace.turn(self.agent.clock.monotonic())
        if wait_s > 0:
            await self.agent.clock.sleep(wait_s)

    def resources(
        self, snapshot: ProxySnapshot, before: VersionedResources, envoy_version: str
    ) -> tuple[VersionedResources, dict[str, str]]:
        """(what an Envoy is to hold, what of that cannot be sent).

        Raises:
            Refused: there is nothing for a proxy of this kind.
            MeshError: what an operator wrote does not make resources.
        """
        from meshagent.connect.envoy.render import RENDERERS, render

        if snapshot.kind not in RENDERERS:
            raise Refused(INVALID_ARGUMENT, f"a proxy of kind {snapshot.kind!r} is not served to Envoy")
        return self._encoder.prepare(render(snapshot, envoy_version), before)

    def status(self) -> list[dict[str, Any]]:
        """All streams, as a person is shown them."""
        return sorted((stream.status() for stream in self.streams), key=lambda row: str(row["ProxyID"]))


def too_many() -> Refused:
    """Why a stream should be at another server, in upstream's words."""
    return Refused(RESOURCE_EXHAUSTED, "this server has too many xDS streams open, please try another")


async def delta(agent: Agent, call: Call) -> None:
    """`DeltaAggregatedResources`."""
    if "mesh" not in agent.extras:
        raise Refused(FAILED_PRECONDITION, "Connect must be enabled in order to use this endpoint")
    service: XdsService | None = agent.extras.get("xds")
    if service is None:
        service = agent.extras["xds"] = XdsService(agent)
    await service.serve(call)


SERVICE = Service(
    "envoy.service.discovery.v3.AggregatedDiscoveryService",
    (Method("DeltaAggregatedResources", DIALOGUE, delta, max_message=MAX_REQUEST),),
)
