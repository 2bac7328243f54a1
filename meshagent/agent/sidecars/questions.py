"""I/O edge: what the sidecars of a host can be asked, and how an agent answers for those that it serves.

Source: ours; agent/sidecars/README.md. What may change here: a question is a row of `QUESTIONS`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshagent.agent.definitions.rules import GATEWAY_KINDS
from meshagent.agent.sidecars.here import page, socket_for, tap_lines
from meshagent.agent.sidecars.messages import Ask, Said, decode_ask, encode
from meshagent.agent.sidecars.together import together
from meshagent.errors import MeshError, NotFound

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.agent.mesh import Mesh
    from meshagent.catalog.model import Service
    from meshagent.catalog.rpc.hello import Peer

__all__ = ["QUESTIONS", "Question", "answer", "here", "registered"]

#: From a proxy's id and the filters to what it says.
Sidecar = Callable[[str, tuple[tuple[str, str], ...]], AsyncGenerator[bytes, None]]


@dataclass(frozen=True, slots=True)
class Question:
    """`of_sidecar` asks one. `within_s` bounds its answer; None: it goes on until nobody listens."""

    of_sidecar: Sidecar
    within_s: float | None


async def _edges(proxy_id: str, _: tuple[tuple[str, str], ...]) -> AsyncGenerator[bytes, None]:
    yield await page(socket_for(proxy_id), "/edges")


def _tap(proxy_id: str, filters: tuple[tuple[str, str], ...]) -> AsyncGenerator[bytes, None]:
    return tap_lines(socket_for(proxy_id), filters)


QUESTIONS: Mapping[str, Question] = {
    "edges": Question(_edges, within_s=3.0),
    "tap": Question(_tap, within_s=None),
}


def registered(agent: Agent, service: str = "") -> list[str]:
    """The ids of the sidecars and gateways that this agent serves, of one service or of all."""
    mesh: Mesh | None = agent.extras.get("mesh")
    kinds = {"connect-proxy", *GATEWAY_KINDS}
    rows = [entry.service for entry in agent.local.services.values() if entry.service.kind in kinds]
    if mesh is not None:
        rows += mesh.proxies.given()
    return [row.id for row in rows if not service or _stands_for(row) == service]


def _stands_for(row: Service) -> str:
    """The service of a sidecar; a gateway is one itself."""
    return row.proxy.destination_service_name if row.kind == "connect-proxy" and row.proxy else row.name


async def here(agent: Agent, ask: Ask) -> AsyncGenerator[Said, None]:
    """What the sidecars of this host say. Raises NotFound: this agent does not know the question."""
    question = QUESTIONS.get(ask.what)
    if question is None:
        raise NotFound(f"this agent does not know how to ask its sidecars for {ask.what!r}")
    yield Said(agent.node_name)
    name, within_s = agent.node_name, question.within_s

    async def of(proxy_id: str) -> AsyncGenerator[Said, None]:
        try:
            async with asyncio.timeout(within_s), aclosing(question.of_sidecar(proxy_id, ask.filters)) as bodies:
                async for body in bodies:
                    yield Said(name, body, proxy_id)
        except TimeoutError:
            yield Said(name, b"", proxy_id, f"it did not answer within {within_s:g} s")
        except MeshError as error:
            yield Said(name, b"", proxy_id, str(error))

    sidecars = {proxy_id: of(proxy_id) for proxy_id in registered(agent, ask.service)}
    async with aclosing(together(sidecars)) as found:
        async for _, said in found:
            yield said


def answer(agent: Agent) -> Callable[[Peer, bytes], AsyncGenerator[bytes, None]]:
    """The method by which a server asks a client agent."""

    async def pieces(ask: Ask) -> AsyncGenerator[bytes, None]:
        async with aclosing(here(agent, ask)) as found:
            async for said in found:
                yield encode(said)

    return lambda _, payload: pieces(decode_ask(payload))
