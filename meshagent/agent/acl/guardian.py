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
    from meshagent.agent.acl.primary_tokens import PrimaryTokens
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
        #: Of a secondary datacenter that copies no tokens.
        self.primary: PrimaryTokens | None = None
        self._log = log

    async def identify(self, secret: str) -> Identity:
        """As `Guardian.identify`. A token that is not here yet may be at the leader: then this waits until it is; or it
        may be the primary's.
        """
        if self.primary is not None and secret and not self.resolver.is_own(secret):
            return await self._of_primary(self.primary, secret)
        try:
            return self.resolver.resolve(secret)
        except Denied:
            if not secret or self._log.is_leader:
                raise
            await self._catch_up()
            return self.resolver.resolve(secret)

    async def _of_primary(self, primary: PrimaryTokens, secret: str) -> Identity:
        if not self._log.is_leader and not primary.knows(secret):
            await self._catch_up()
            if self.resolver.is_own(secret):
                return self.resolver.resolve(secret)
        return await primary.learn(secret) or self.resolver.resolve(secret)

    async def _catch_up(self) -> None:
        with contextlib.suppress(MeshError):
            await self._log.read_barrier()

    def held(self, secret: str) -> Identity | None:
        """As `Guardian.held`."""
        try:
            return self.resolver.resolve(secret)
        except Denied:
            return None

    def sweep(self, now: datetime) -> None:
        """As `Guardian.sweep`."""
        self.resolver.sweep(now)
