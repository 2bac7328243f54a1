"""I/O edge: the certificate of the HTTPS listeners, and how another one comes into force.

It is that of `tls.https`. A client without one shows what the servers gave it (`auto_encrypt`, `auto_config`) and takes
each renewal; until there is a first one its handshakes fail. Source: surface rows G4, G15, G16. What may change here:
where a certificate comes from; never the context of a connection that stands.
"""

from __future__ import annotations

import logging
import ssl
from typing import TYPE_CHECKING

from meshagent.agent.http.door import ALPN
from meshagent.agent.tls import server_context
from meshagent.catalog.rpc.tls import Credentials
from meshagent.errors import ConfigError

if TYPE_CHECKING:
    from meshagent.agent.auto.keeper import CertificateKeeper
    from meshagent.agent.config.security import TLSProtocol
    from meshagent.agent.http.server import HttpServer
    from meshagent.clock import Tasks

__all__ = ["HttpsSecurity"]

log = logging.getLogger("agent.http")


class HttpsSecurity:
    """Of an agent that listens with TLS. `keeper` holds the certificate that servers gave, None where none do."""

    def __init__(self, http: HttpServer, tls: TLSProtocol, keeper: CertificateKeeper | None, tasks: Tasks) -> None:
        """Raises ConfigError."""
        self._http = http
        self._tls = tls
        self._keeper = keeper
        self._tasks = tasks
        self.context = self.load(tls)
        if keeper is not None:
            keeper.on_change.append(self._certified)

    def load(self, tls: TLSProtocol) -> ssl.SSLContext:
        """The context for this block as its files are now. Raises ConfigError."""
        given = None
        if self._keeper is not None:
            kept = self._keeper.kept
            given = Credentials() if kept is None else Credentials(kept.chain, kept.key, kept.authorities)
        return server_context(tls, "tls.https", alpn=ALPN, given=given)

    async def take(self, tls: TLSProtocol, context: ssl.SSLContext) -> None:
        """New handshakes use what `load` made of `tls`."""
        self._tls, self.context = tls, context
        await self._http.secure(context)

    def _certified(self) -> None:
        if not self._tls.cert_file:
            self._tasks.start(self._renew(), name="https certificate")

    async def _renew(self) -> None:
        try:
            await self.take(self._tls, self.load(self._tls))
        except ConfigError as error:
            log.error("the certificate that the servers gave is not shown over HTTPS: %s", error)
