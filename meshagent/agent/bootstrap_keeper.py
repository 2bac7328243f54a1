"""I/O edge: beginning a cluster: asking the other servers, and answering those that ask.

Source: `bootstrap.py`. It runs on a server with `bootstrap_expect` until this server belongs to a cluster, by its own
doing or because a leader has spoken to it.

What may change here: names and layouts of the methods are on the wire: append-only.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from msgspec.structs import replace

from meshagent.agent.bootstrap import Promises, decide
from meshagent.agent.gossip.member import Status
from meshagent.agent.server_calls import decode, encode
from meshagent.agent.server_tags import read_server
from meshagent.catalog.raft.configuration import Configuration
from meshagent.catalog.rpc.hello import SERVER
from meshagent.errors import Conflict, Denied, MeshError, RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from meshagent.agent.core import Agent
    from meshagent.agent.membership import Membership
    from meshagent.catalog.raft.replica import RaftLog
    from meshagent.catalog.rpc.hello import Peer
    from meshagent.catalog.rpc.link import Handler

__all__ = ["BEGIN", "PROMISE", "BootstrapKeeper"]

log = logging.getLogger("agent.server")

#: Methods, since 0.1. Their payload is a configuration. A promise is answered with the incarnation of the data
#: directory that gives it, so that one which is lost before the cluster has begun is not taken for it
#: (catalog/raft/README.md, "A server that lost its disk").
PROMISE = "bootstrap-promise"
BEGIN = "bootstrap-begin"
#: How often it looks again while it waits, and how long another server may take to answer.
LOOK_S = 0.5
ANSWER_S = 3.0


class BootstrapKeeper:
    """Begins the cluster of one agent."""

    def __init__(self, agent: Agent, ask: Callable[[str, str, str, bytes, float], Awaitable[bytes]]) -> None:
        self._agent = agent
        self._raft: RaftLog = agent.extras["raft"]
        self._ask = ask
        self._promises = Promises()
        self._said = ""

    def methods(self) -> dict[str, Handler]:
        """What to answer on the RPC port."""

        async def promise(peer: Peer, payload: bytes) -> bytes:
            self._take(peer, payload)
            return encode(self._raft.incarnation)

        async def begin(peer: Peer, payload: bytes) -> bytes:
            configuration = self._take(peer, payload)
            await self._raft.bootstrap(configuration)
            return b""

        return {PROMISE: promise, BEGIN: begin}

    def _take(self, peer: Peer, payload: bytes) -> Configuration:
        """Promise to begin with the servers in `payload`. Raises Conflict when this server cannot."""
        if peer.role != SERVER:
            raise Denied("Permission denied: only servers ask this")
        configuration = decode(payload, Configuration)
        if peer.node_id not in configuration.voters or self._agent.node_id not in configuration.voters:
            raise RemoteProtocolError("a cluster begins with the server that asks and the one that is asked")
        if self._agent.config.bootstrap_expect != len(configuration.servers):
            raise Conflict(f"this server expects {self._agent.config.bootstrap_expect} servers (bootstrap_expect)")
        if self._raft.has_state:
            raise Conflict("this server belongs to a cluster already")
        if not self._promises.give(configuration.anonymous, self._agent.clock.monotonic()):
            raise Conflict("this server has promised to begin with others: try again")
        return configuration

    async def run(self) -> None:
        """Return when this server belongs to a cluster."""
        while not self._raft.has_state:
            try:
                await self._look()
            except MeshError as error:
                self._say(f"the cluster cannot begin yet: {error}", warn=True)
            if not self._raft.has_state:
                await self._agent.clock.sleep(LOOK_S)

    async def _look(self) -> None:
        agent = self._agent
        members: Membership = agent.extras["members"]
        alive = [member for member in members.members() if member.status == Status.ALIVE]
        servers = [server for member in alive if (server := read_server(member, agent.datacenter)) is not None]
        decision = decide(agent.node_id, agent.config.bootstrap_expect, servers)
        self._say(f"bootstrap: {decision.reason}", warn=decision.warn)
        if decision.configuration is None:
            return
        configuration = decision.configuration
        if not self._promises.give(configuration, agent.clock.monotonic()):
            return
        others = [server for server in configuration.servers if server.node_id != agent.node_id]
        payload = encode(configuration)
        promises = await asyncio.gather(
            *(self._ask(other.node_id, other.address, PROMISE, payload, ANSWER_S) for other in others)
        )
        if not self._promises.holds(configuration, agent.clock.monotonic()):
            return  # the answers took too long: others may have promised something else by now
        incarnations = {agent.node_id: self._raft.incarnation}
        incarnations |= {
            other.node_id: decode(answer, int) if answer else 0 for other, answer in zip(others, promises, strict=True)
        }
        configuration = Configuration(
            tuple(replace(each, incarnation=incarnations[each.node_id]) for each in configuration.servers)
        )
        payload = encode(configuration)
        names = ", ".join(server.address for server in configuration.servers)
        log.info("found expected number of peers, attempting bootstrap: peers=%s", names)
        await self._raft.bootstrap(configuration)
        told = await asyncio.gather(
            *(self._ask(other.node_id, other.address, BEGIN, payload, ANSWER_S) for other in others),
            return_exceptions=True,
        )
        for other, result in zip(others, told, strict=True):
            if isinstance(result, BaseException):
                # It learns the servers from the leader, or when this one asks for its vote.
                log.warning("a server could not be told to begin: address=%s error=%s", other.address, result)

    def _say(self, text: str, *, warn: bool) -> None:
        """Say it once."""
        if text != self._said:
            self._said = text
            log.log(logging.WARNING if warn else logging.INFO, "%s", text)
