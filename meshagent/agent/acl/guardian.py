"""Who resolves the tokens of requests: on a server from its own tables, on a client with the help of a server.

`agent.extras["acl"]` is the `Guardian` of an agent with ACLs on; without one everything is allowed. Source: surface
rows L28, L29. What may change here: what both kinds of agents need of it.
"""

from __future__ import annotations

import contextlib
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from meshagent.agent.acl.resolver import Identity, Resolver
from meshagent.agent.acl.tokens import AgentTokens
from meshagent.errors import Denied, MeshError

if TYPE_CHECKING:
    from meshagent.catalog.log import ServingLog

__all__ = ["Guardian", "ServerGuardian"]


class Guardian(Protocol):
    """`tokens` are the agent's own."""

    tokens: AgentTokens

    async def identify(self, secret: str) -> Identity:
        """What a secret may do, "" is the anonymous token. Raises Denied."""

    def held(self, secret: str) -> Identity | None:
        """The same if it is known without asking anybody."""

    def sweep(self, now: datetime) -> None:
        """Let go of what has expired."""


class ServerGuardian:
    """That of a server."""

    def __init__(self, resolver: Resolver, tokens: AgentTokens, log: ServingLog) -> None:
        self.tokens = tokens
        self.resolver = resolver
        self._log = log

    async def identify(self, secret: str) -> Identity:
        """As `Guardian.identify`. A token that is not here yet may be at the leader: then this waits until it is."""
        try:
            return self.resolver.resolve(secret)
        except Denied:
            if not secret or self._log.is_leader:
                raise
            with contextlib.suppress(MeshError):
                await self._log.read_barrier()
            return self.resolver.resolve(secret)

    def held(self, secret: str) -> Identity | None:
        """As `Guardian.held`."""
        try:
            return self.resolver.resolve(secret)
        except Denied:
            return None

    def sweep(self, now: datetime) -> None:
        """As `Guardian.sweep`."""
        self.resolver.sweep(now)
