"""With which token a client agent asks for the leaf of a service: servers sign for who may write it.

That of an instance or proxy of the service that is registered here, else the agent's own ones, else of somebody who
asked this agent for the leaf or for a proxy lately, else of any registration here (gateways speak for others). No token
is ever told to anybody, and none is kept that did not prove its right again.

Source: surface rows A28, M62, L28. What may change here: where tokens come from. No I/O but what the guardian does.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from meshagent.errors import Denied

if TYPE_CHECKING:
    from meshagent.agent.acl.guardian import Guardian
    from meshagent.agent.core import Agent

__all__ = ["LeafTokens"]

#: Tokens of who asked lately.
MAX_SHOWN = 1024


class LeafTokens:
    """Those of one agent. Every value is a secret."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._shown: OrderedDict[str, None] = OrderedDict()

    def shown(self, token: str) -> None:
        """Somebody asked with this one. Servers need none: they ask themselves."""
        if not token or self._agent.upstream is None or "acl" not in self._agent.extras:
            return
        self._shown[token] = None
        self._shown.move_to_end(token)
        if len(self._shown) > MAX_SHOWN:
            self._shown.popitem(last=False)

    async def of(self, service: str) -> str:
        """One that may write the service, "" with ACLs off. Raises Denied: none may."""
        guardian: Guardian | None = self._agent.extras.get("acl")
        if guardian is None:
            return ""
        for token in dict.fromkeys(self._candidates(service, guardian)):
            try:
                identity = await guardian.identify(token)
            except Denied:
                self._shown.pop(token, None)
                continue
            if identity.access.allows("service", "write", service):
                return token
        raise Denied(f"Permission denied: no token of this agent may write the service {service!r} (service:write)")

    def _candidates(self, service: str, guardian: Guardian) -> Iterator[str]:
        own = guardian.tokens
        entries = list(self._agent.local.services.values())
        for entry in entries:
            if service in {entry.service.name, entry.service.proxy.destination_service_name}:
                yield entry.token or own.default
        yield own.default
        yield own.agent
        yield from reversed(list(self._shown))
        for entry in entries:
            yield entry.token or own.default
