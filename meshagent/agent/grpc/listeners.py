"""I/O edge: where an agent listens for gRPC, and with which certificate.

Plain text on `ports.grpc`, TLS on `ports.grpc_tls`, both on Unix sockets too (`addresses.grpc = "unix://..."`). The
certificate is that of `tls.grpc`; with `use_auto_cert` what the servers gave this agent. Peers of a server ask for a
name of its own, are shown the certificate of the mesh, and may call what is for peers, nothing else.

Source: surface rows G11, G15, G16, X37. What may change here: where a certificate comes from; never the context of
a connection that stands.
"""

from __future__ import annotations

import errno
import logging
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshagent.agent import settings
from meshagent.agent.grpc.channel import ALPN, Call, Channel, Keepalive
from meshagent.agent.grpc.methods import Service
from meshagent.agent.grpc.server import GrpcServer
from meshagent.agent.tls import server_context
from meshagent.agent.xds.pacing import Pace
from meshagent.catalog.rpc.tls import Credentials
from meshagent.errors import ConfigError
from meshagent.listening import cannot_listen

if TYPE_CHECKING:
    from meshagent.agent.auto.keeper import CertificateKeeper
    from meshagent.agent.config import Listen
    from meshagent.agent.config.security import TLSGrpc
    from meshagent.agent.core import Agent
    from meshagent.agent.peering.service import PeeringService

__all__ = ["DEFAULT_TLS_PORT", "GrpcListeners"]

log = logging.getLogger("agent.grpc")

#: Nobody chose it: when something else has it, a server starts all the same.
DEFAULT_TLS_PORT = 8503


def _services(agent: Agent) -> tuple[Service, ...]:
    """Those of the table, which is not loaded where nobody can call."""
    if not agent.config.network.grpc and not agent.config.network.grpc_tls:
        return ()
    from meshagent.agent.grpc.table import SERVICES

    return SERVICES


class GrpcListeners:
    """Those of one agent. `keeper` holds the certificate that servers gave, None where none do."""

    def __init__(self, agent: Agent, keeper: CertificateKeeper | None) -> None:
        self._agent = agent
        self._keeper = keeper
        self._tls: TLSGrpc = agent.config.tls.grpc
        performance = agent.config.performance
        keepalive = Keepalive(agent.clock, performance.grpc_keepalive_interval, performance.grpc_keepalive_timeout)
        self.server = GrpcServer(agent, _services(agent), keepalive)
        self.server.admit = self._admit
        self.server.permit = self._permits
        agent.extras["grpc"] = self
        agent.extras["xds_pace"] = self.pace = Pace(agent.config.xds.update_max_per_second)
        if keeper is not None:
            keeper.on_change.append(self._certified)

    async def start(self) -> None:
        """Listen where the configuration says. Raises ConfigError."""
        network = self._agent.config.network
        for place in network.grpc:
            await self._listen("ports.grpc", place, None)
        context = self.load(self._tls) if network.grpc_tls else None
        for place in network.grpc_tls:
            await self._listen("ports.grpc_tls", place, context)

    async def stop(self) -> None:
        """Listen no more, and end all calls."""
        await self.server.stop()

    async def _listen(self, option: str, place: Listen, context: ssl.SSLContext | None) -> None:
        sockets = self._agent.config.unix_sockets
        try:
            if place.path:
                mode = settings.socket_mode(sockets.mode)
                path = Path(place.path)
                await self.server.listen_unix(path, mode=mode, user=sockets.user, group=sockets.group, tls=context)
            else:
                await self.server.listen(place.host, place.port, context)
        except OSError as error:
            problem = cannot_listen(option, str(place), error)
            if option != "ports.grpc_tls" or place.port != DEFAULT_TLS_PORT or error.errno != errno.EADDRINUSE:
                raise problem from error
            log.warning("nobody can call this agent over gRPC with TLS: %s", problem)
        else:
            log.info("listening: protocol=%s address=%s", option.removeprefix("ports."), place)

    # --- certificates ------------------------------------------------------------------------------------------

    def load(self, tls: TLSGrpc) -> ssl.SSLContext:
        """The context for this block as its files are now. Raises ConfigError."""
        given = None
        if self._keeper is not None and tls.use_auto_cert:
            kept = self._keeper.kept
            given = Credentials() if kept is None else Credentials(kept.chain, kept.key, kept.authorities)
        context = server_context(tls, "tls.grpc", alpn=(ALPN,), given=given)
        peering: PeeringService | None = self._agent.extras.get("peering")
        if peering is not None:
            if context.verify_mode == ssl.CERT_REQUIRED:  # peers have none: `_admit` looks who has to
                context.verify_mode = ssl.CERT_OPTIONAL
            peering.context.set_alpn_protocols([ALPN])

            def choose(connection: Any, name: str | None, _: ssl.SSLContext) -> None:
                if peering.is_asked(name):
                    connection.context = peering.context

            context.sni_callback = choose
        return context

    def _admit(self, channel: Channel) -> bool:
        """Whether who connects has shown the certificate that he has to."""
        tls = channel.tls
        if tls is None or not self._tls.verify_incoming:
            return True
        peering: PeeringService | None = self._agent.extras.get("peering")
        return bool(tls.getpeercert()) or (peering is not None and tls.context is peering.context)

    def _permits(self, call: Call) -> bool:
        """Who came by the name for peers needs no certificate: only what is for peers is his to call."""
        peering: PeeringService | None = self._agent.extras.get("peering")
        if peering is None or call.tls is None or call.tls.context is not peering.context:
            return True
        from meshagent.agent.peering.messages import SERVICE_NAME

        return call.method.startswith(f"/{SERVICE_NAME}/")

    async def take(self, tls: TLSGrpc, context: ssl.SSLContext) -> None:
        """New handshakes use what `load` made of `tls`."""
        self._tls = tls
        await self.server.secure(context)

    def _certified(self) -> None:
        if self._tls.use_auto_cert and not self._tls.cert_file and self._agent.config.network.grpc_tls:
            self._agent.tasks.start(self._renew(), name="grpc certificate")

    async def _renew(self) -> None:
        try:
            await self.take(self._tls, self.load(self._tls))
        except ConfigError as error:
            log.error("the certificate that the servers gave is not shown over gRPC: %s", error)
