"""I/O edge: peering on this server, put together: certificate, streams.

Source: surface rows PE1-PE3, X37, G23 (`peering`). What may change here: what else is started with it.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from meshagent.agent.peering.certificate import keep_certificate, new_context
from meshagent.agent.peering.keeper import PeeringKeeper, exchange_secret
from meshagent.agent.peering.operations import Dialer
from meshagent.agent.peering.operations import server_name as server_name_of

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.connect.authority import Authority
    from meshagent.connect.sealing import SealingKey

__all__ = ["PeeringService"]


class PeeringService:
    """What a server with `peering.enabled` has; `lead` is a duty of the leader."""

    def __init__(self, agent: Agent, authority: Authority, sealing: SealingKey | None) -> None:
        self._agent = agent
        self._authority = authority
        #: Shows the certificate for peers; for who asks for `server_name`.
        self.context: ssl.SSLContext = new_context()
        self.keeper = PeeringKeeper(agent, sealing)
        agent.extras["peering"] = self
        agent.extras["peering_dialer"] = Dialer(exchange_secret, sealing)

    def is_asked(self, server_name: str | None) -> bool:
        """Whether who connects wants to talk to a peer."""
        trust_domain = self._agent.store.ca.trust_domain
        return bool(trust_domain) and server_name == server_name_of(self._agent.datacenter, trust_domain)

    def run(self) -> None:
        """Begin with everything else."""
        tasks = self._agent.tasks
        tasks.start(keep_certificate(self._agent, self._authority, self.context), name="certificate for peers")

    async def lead(self) -> None:
        """Keep the streams while this server leads."""
        await self.keeper.lead()
