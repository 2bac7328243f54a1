"""I/O edge: peering on this server, put together: certificate, listener, streams.

Source: surface rows PE1-PE3, X37, G11 (`ports.grpc_tls`), G23 (`peering`). What may change here: what else is started
with it.
"""

from __future__ import annotations

import errno
import logging
from typing import TYPE_CHECKING

from meshagent.agent.peering.acceptor import Acceptor
from meshagent.agent.peering.certificate import keep_certificate, new_context
from meshagent.agent.peering.keeper import PeeringKeeper, exchange_secret
from meshagent.agent.peering.operations import Dialer
from meshagent.listening import cannot_listen

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.connect.authority import Authority
    from meshagent.connect.sealing import SealingKey

__all__ = ["DEFAULT_PORT", "PeeringService"]

log = logging.getLogger("agent.peering")

#: Nobody chose it: when something else has it, the server starts all the same.
DEFAULT_PORT = 8503


class PeeringService:
    """What a server with `peering.enabled` has; `lead` is a duty of the leader."""

    def __init__(self, agent: Agent, authority: Authority, sealing: SealingKey | None) -> None:
        self._agent = agent
        self._authority = authority
        self._context = new_context()
        self.keeper = PeeringKeeper(agent, sealing, lambda channel: self.acceptor.known(channel))
        self.acceptor = Acceptor(agent, self._context, self.keeper.serve)
        agent.extras["peering_dialer"] = Dialer(exchange_secret, sealing)

    async def listen(self) -> None:
        """Listen where the configuration says. Raises ConfigError."""
        for place in self._agent.config.network.grpc_tls:
            if place.path:
                continue
            try:
                await self.acceptor.listen(place.host, place.port)
            except OSError as error:
                problem = cannot_listen("ports.grpc_tls", str(place), error)
                if place.port != DEFAULT_PORT or error.errno != errno.EADDRINUSE:
                    raise problem from error
                log.warning("peers cannot reach this server: %s", problem)
            else:
                log.info("listening: protocol=grpc_tls address=%s", place)

    def run(self) -> None:
        """Begin with everything else."""
        tasks = self._agent.tasks
        tasks.start(keep_certificate(self._agent, self._authority, self._context), name="certificate for peers")

    async def lead(self) -> None:
        """Keep the streams while this server leads."""
        await self.keeper.lead()

    async def stop(self) -> None:
        """Listen no more."""
        await self.acceptor.stop()
