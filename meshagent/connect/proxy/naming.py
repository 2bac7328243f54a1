"""I/O edge: a listener that looks at the server name of each connection, and hands it on to who is called so.

Source: surface rows X17, X18; Envoy's TLS inspector (`listener_filters_timeout`, 15 s). What may change here: limits.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from meshagent.connect.gateways.addresses import Bind
from meshagent.connect.proxy.door import Door
from meshagent.connect.proxy.layers.client_hello import server_name
from meshagent.connect.proxy.peek import Peek, Refuse, Taker
from meshagent.connect.proxy.tallies import Tallies
from meshagent.errors import RemoteProtocolError

__all__ = ["NameListener"]

log = logging.getLogger("proxy.gateway")

#: So long a client may take to say whom it calls.
PEEK_S = 15.0
#: Clients that have not said it yet, at most: each may hold 16 KiB.
MAX_PEEKING = 10_000


class NameListener:
    """One place. `taker(server name)` is what takes a connection, None when nobody is called so."""

    def __init__(self, bind: Bind, taker: Callable[[str], Taker | None], tallies: Tallies) -> None:
        self.bind = bind
        self._taker = taker
        self._tallies = tallies
        self._door = Door()
        self._peeking: set[Peek] = set()

    @property
    def open_connections(self) -> int:
        """Those that have not said whom they call; the others are counted by who took them."""
        return len(self._peeking)

    async def start(self) -> None:
        """Listen. Raises OSError."""
        await self._door.open(self._accept, self.bind.address, self.bind.port)
        log.info("listening: name=%s address=%s:%d", self.bind.name, self.bind.address, self.bind.port)

    def stop_accepting(self) -> None:
        """Take no new connections; those that are open go on."""
        self._door.close()

    def abort_all(self) -> None:
        """Cut those that have not said whom they call."""
        for peek in list(self._peeking):
            peek.abort()

    # --- one connection ----------------------------------------------------------------------------------------

    def _accept(self) -> asyncio.BaseProtocol:
        if len(self._peeking) >= MAX_PEEKING:
            self._tallies.refused += 1
            return Refuse()
        peek = Peek(self._choose, PEEK_S, self._peeking.discard)
        self._peeking.add(peek)
        return peek

    def _choose(self, data: bytes, last: bool) -> tuple[Taker, int] | None:
        try:
            name = server_name(data)
        except RemoteProtocolError as error:
            return self._refuse(str(error))
        if name is None:
            return self._refuse("the client said too little") if last else None
        taker = self._taker(name)
        return (taker, 0) if taker is not None else self._refuse(f"nobody is called {name!r}")

    def _refuse(self, why: str) -> tuple[Taker, int]:
        self._tallies.refused += 1
        log.debug("connection refused: listener=%s reason=%s", self.bind.name, why)
        return Refuse(), 0
