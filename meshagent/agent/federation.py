"""I/O edge: the ways into the other datacenters: the leader follows their mesh gateways, and writes down what it hears.

So every server knows them, and the clients by it; a sidecar goes on with the last ones while a datacenter is not to be
reached. A datacenter tells what the token may see: the replication token, else the agent's own.

Source: surface rows IN6, M9; developer.hashicorp.com/consul/docs/connect/gateways/mesh-gateway. Ours: each leader asks
the other datacenters itself. What may change here: times; the layout of the method is append-only.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from datetime import UTC
from typing import TYPE_CHECKING

import msgspec

from meshagent.agent.acl.rows_visible import instances
from meshagent.agent.server_calls import decode, encode
from meshagent.catalog.commands import FederationStateSet
from meshagent.catalog.mesh_gateways import mesh_gateways
from meshagent.catalog.model import ServiceEntry
from meshagent.clock import Tasks
from meshagent.errors import MeshError

if TYPE_CHECKING:
    from meshagent.agent.acl.guardian import Guardian
    from meshagent.agent.acl.tokens import AgentTokens
    from meshagent.agent.core import Agent
    from meshagent.agent.datacenters import Datacenters
    from meshagent.catalog.rpc.hello import Peer
    from meshagent.catalog.rpc.link import Handler

__all__ = ["MESH_GATEWAYS", "Asked", "Federation", "Told", "federation_methods"]

log = logging.getLogger("agent.server.federation")

#: A method of the RPC port, since 0.3: `Asked` -> `Told`.
MESH_GATEWAYS = "mesh-gateways"
#: How long an answer may wait for a change, and how much later it may come.
WAIT_S, MARGIN_S = 60.0, 20.0
#: How often it is looked whether there are other datacenters; pauses after a failure.
LOOK_S, RETRY_S, LONGEST_RETRY_S = 1.0, 1.0, 30.0


class Asked(msgspec.Struct, frozen=True, array_like=True):
    """The gateways, as soon as their digest is another one than `digest`, or after `wait_s` seconds."""

    token: str
    digest: str = ""
    wait_s: float = 0.0


class Told(msgspec.Struct, frozen=True, array_like=True):
    """The gateways, and a digest of them."""

    digest: str
    rows: tuple[ServiceEntry, ...]


def federation_methods(agent: Agent) -> dict[str, Handler]:
    """What this datacenter's servers tell those of others."""

    async def gateways(_: Peer, payload: bytes) -> bytes:
        asked = decode(payload, Asked)
        clock = agent.clock
        deadline = clock.monotonic() + min(max(asked.wait_s, 0.0), WAIT_S)
        guardian: Guardian | None = agent.extras.get("acl")
        while True:
            rows, topics = mesh_gateways(agent.store, agent.datacenter, agent.datacenter)
            if guardian is not None:  # asked anew each time: the token may have ended meanwhile
                rows = instances(rows, (await guardian.identify(asked.token)).access)
            told = Told(_digest(rows), rows)
            left_s = deadline - clock.monotonic()
            if told.digest != asked.digest or left_s <= 0:
                return encode(told)
            changed = asyncio.Event()
            subscription = agent.store.watches.subscribe(topics, changed.set)
            try:
                await _either(changed, agent, left_s)
            finally:
                subscription.cancel()

    return {MESH_GATEWAYS: gateways}


async def _either(changed: asyncio.Event, agent: Agent, timeout_s: float) -> None:
    timer = agent.tasks.start(agent.clock.sleep(timeout_s), name="mesh gateways wait")
    timer.add_done_callback(lambda _: changed.set())
    try:
        await changed.wait()
    finally:
        timer.cancel()


class Federation:
    """That of a server; `run` runs while it leads."""

    def __init__(self, agent: Agent, datacenters: Datacenters) -> None:
        self._agent = agent
        self._datacenters = datacenters

    async def run(self) -> None:
        """Follow every other datacenter, for ever."""
        tasks = Tasks()
        followed: dict[str, asyncio.Task[None]] = {}
        try:
            while True:
                names = set(self._datacenters.names()) - {self._agent.datacenter}
                for name in names - followed.keys():
                    followed[name] = tasks.start(self.follow(name), name=f"mesh gateways of {name}")
                for name in followed.keys() - names:
                    followed.pop(name).cancel()
                await self._agent.clock.sleep(LOOK_S)
        finally:
            await tasks.cancel()

    async def follow(self, datacenter: str) -> None:
        """Keep what is known of one datacenter as it says."""
        digest, pause_s = "", RETRY_S
        while True:
            try:
                digest = await self.round(datacenter, digest)
                pause_s = RETRY_S
            except MeshError as error:
                log.debug("the mesh gateways of %s are not told now: %s", datacenter, error)
                digest, pause_s = "", min(pause_s * 2, LONGEST_RETRY_S)
                await self._agent.clock.sleep(pause_s)

    async def round(self, datacenter: str, digest: str) -> str:
        """Wait for other gateways than those of `digest`, and write them down. Their digest.

        Raises:
            MeshError: the datacenter cannot be asked, or what it says cannot be written.
        """
        asked = Asked(self._token(), digest, WAIT_S)
        upstream = self._datacenters.upstream(datacenter)
        told = decode(await upstream.call(MESH_GATEWAYS, encode(asked), WAIT_S + MARGIN_S), Told)
        agent = self._agent
        rows = tuple(_of(datacenter, row) for row in told.rows)
        held = agent.store.federation.rows.get(datacenter)
        if held is None or held.mesh_gateways != rows:
            now = agent.clock.now().astimezone(UTC).isoformat().replace("+00:00", "Z")
            await agent.write_as_leader(FederationStateSet(datacenter, now, rows))
            log.info("mesh gateways of another datacenter: datacenter=%s gateways=%d", datacenter, len(rows))
        return told.digest

    def _token(self) -> str:
        tokens: AgentTokens | None = self._agent.extras.get("acl_tokens")
        return (tokens.get("replication") or tokens.agent) if tokens is not None else ""


def _of(datacenter: str, row: ServiceEntry) -> ServiceEntry:
    return msgspec.structs.replace(row, node=msgspec.structs.replace(row.node, datacenter=datacenter))


def _digest(rows: tuple[ServiceEntry, ...]) -> str:
    return hashlib.sha256(msgspec.msgpack.encode(rows)).hexdigest()[:16]
