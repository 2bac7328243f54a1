"""I/O edge: the sidecars of a whole datacenter, asked by a server: its own host's, those of the clients that are
connected to it, and the other servers, which do the same.

Source: ours; agent/sidecars/README.md. A client agent is asked over the connection that it made: it listens nowhere.
What may change here: times and bounds.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING

from msgspec.structs import replace

from meshagent.agent.gossip.member import Member, Status
from meshagent.agent.server_tags import read_server
from meshagent.agent.sidecars.messages import METHOD, Ask, Said, decode_ask, decode_said, encode
from meshagent.agent.sidecars.questions import QUESTIONS, here
from meshagent.agent.sidecars.together import together
from meshagent.catalog.rpc.hello import CLIENT, SERVER, Peer
from meshagent.errors import Denied, MeshError, NotFound, Unavailable

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.catalog.rpc.link import Handler, Link

__all__ = ["MAX_STREAMS", "Everywhere"]

#: Answers without an end (taps) that one server serves at the same time.
MAX_STREAMS = 16
#: How long an agent may take to begin its answer.
FIRST_S = 3.0
#: What an agent may take longer than its sidecars, and a server longer than its clients.
FURTHER_S = 1.0


class Everywhere:
    """`links` are the connections that others made to this server, `link` leads to another server by node id."""

    def __init__(self, agent: Agent, links: Callable[[], Iterable[Link]], link: Callable[[str], Link | None]) -> None:
        self._agent = agent
        self._links = links
        self._link = link
        self._endless = 0

    def methods(self) -> dict[str, Handler]:
        """What the other servers ask this one."""
        return {METHOD: self._serve}

    async def ask(self, ask: Ask) -> AsyncGenerator[Said, None]:
        """What all sidecars of the datacenter say, as it comes. A member that does not answer, or whose answer breaks
        off, is named with its problem.

        Raises:
            Unavailable: this server serves too many already.
        """
        endless = QUESTIONS[ask.what].within_s is None
        if endless and self._endless >= MAX_STREAMS:
            raise Unavailable("too many taps are open on this server")
        self._endless += endless
        heard: set[str] = set()
        try:
            streams = {**self._near(ask), **self._servers(ask)}
            if endless:
                streams[""] = self._late(heard)
            async with aclosing(together(streams)) as found:
                async for _, said in found:
                    heard.add(said.node)
                    yield said
            for said in self._missing(heard):
                yield said
        finally:
            self._endless -= endless

    # --- who is asked ------------------------------------------------------------------------------------------

    def _near(self, ask: Ask) -> dict[str, AsyncGenerator[Said, None]]:
        """This host, and the clients that are connected here: each by its newest connection."""
        links: dict[str, Link] = {}
        members = {member.name for member in self._members()}
        for link in self._links():
            peer = link.peer
            if link.ready and peer is not None and peer.role == CLIENT and peer.node_name in members:
                held = links.get(peer.node_name)
                if held is None or held.number < link.number:
                    links[peer.node_name] = link
        asked = {name: self._of(name, link, ask, 1) for name, link in links.items()}
        return {**asked, self._agent.node_name: here(self._agent, ask)}

    def _servers(self, ask: Ask) -> dict[str, AsyncGenerator[Said, None]]:
        """The other servers, each for itself and its clients."""
        asked = {}
        for member in self._members():
            server = read_server(member, self._agent.datacenter)
            if server is None or server.node_id == self._agent.node_id:
                continue
            link = self._link(server.node_id)
            if link is not None:
                asked[member.name] = self._of(member.name, link, replace(ask, wide=True), 2)
        return asked

    async def _of(self, name: str, link: Link, ask: Ask, away: int) -> AsyncGenerator[Said, None]:
        within_s = QUESTIONS[ask.what].within_s
        if within_s is not None:
            within_s += away * FURTHER_S
        try:
            async with asyncio.timeout(within_s), aclosing(link.stream(METHOD, encode(ask), FIRST_S)) as pieces:
                async for piece in pieces:
                    yield decode_said(piece)
        except TimeoutError:
            yield Said(name, problem=f"it did not answer within {within_s:g} s")
        except MeshError as error:
            yield Said(name, problem=str(error))

    def _serve(self, peer: Peer, payload: bytes) -> AsyncGenerator[bytes, None]:
        if peer.role != SERVER:
            raise Denied("Permission denied: only servers ask this")
        ask = decode_ask(payload)
        if ask.what not in QUESTIONS:
            raise NotFound(f"this server does not know how to ask sidecars for {ask.what!r}")
        own = replace(ask, wide=False)
        return self._pieces(self._near(own) if ask.wide else {"": here(self._agent, own)})

    @staticmethod
    async def _pieces(streams: Mapping[str, AsyncGenerator[Said, None]]) -> AsyncGenerator[bytes, None]:
        async with aclosing(together(streams)) as found:
            async for _, said in found:
                yield encode(said)

    # --- who is missing ----------------------------------------------------------------------------------------

    async def _late(self, heard: set[str]) -> AsyncGenerator[Said, None]:
        """What an answer without an end says of who has not begun his."""
        await self._agent.clock.sleep(FIRST_S + 2 * FURTHER_S)
        for said in self._missing(heard):
            yield said

    def _missing(self, heard: set[str]) -> list[Said]:
        names = sorted(member.name for member in self._members())
        return [Said(name, problem="no server can reach it") for name in names if name not in heard]

    def _members(self) -> list[Member]:
        return [one for one in self._agent.extras["members"].members() if one.status == Status.ALIVE]
