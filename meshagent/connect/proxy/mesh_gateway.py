"""I/O edge: a mesh gateway: each connection goes, as its bytes are, to an instance of whom it calls.

Nothing is decrypted here: the two ends prove themselves to each other. A route that changes counts for new connections;
open ones stay.

Source: surface rows M9, X18; developer.hashicorp.com/consul/docs/connect/gateways/mesh-gateway. What may change here:
nothing that would look into a connection.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from meshagent.connect.gateways.addresses import Bind
from meshagent.connect.gateways.ways import MeshGateway
from meshagent.connect.proxy.edge import Surroundings
from meshagent.connect.proxy.naming import NameListener
from meshagent.connect.proxy.origins import PLAIN, Origin
from meshagent.connect.proxy.outbound import OutboundListener
from meshagent.connect.proxy.peek import Taker

__all__ = ["MeshGatewayProxy", "Places"]

log = logging.getLogger("proxy.gateway")

#: What takes a connection that calls a server name.
Taking = Callable[[str], Taker | None]


class Places:
    """The listeners of a gateway that looks at names, by where they are."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._wanted: tuple[Bind, ...] = ()
        self.listeners: dict[Bind, NameListener] = {}

    @property
    def ready(self) -> bool:
        """Whether all are open."""
        return all(bind in self.listeners for bind in self._wanted)

    @property
    def open_connections(self) -> int:
        """Those that have not said whom they call."""
        return sum(one.open_connections for one in self.listeners.values())

    async def follow(self, wanted: tuple[Bind, ...], taker: Taking) -> None:
        """Open and close listeners."""
        self._wanted = wanted
        for bind in [bind for bind in self.listeners if bind not in wanted]:
            held = self.listeners.pop(bind)
            held.stop_accepting()
            self._around.leave(held)
        for bind in wanted:
            if bind in self.listeners:
                continue
            made = NameListener(bind, taker, self._around.tallies)
            try:
                await self._around.start(made)
            except OSError as error:
                log.error("cannot listen: address=%s:%d error=%s", bind.address, bind.port, error.strerror)
                continue
            self.listeners[bind] = made


class MeshGatewayProxy:
    """All of one gateway."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._places = Places(around)
        self._wanted = MeshGateway(())

    @property
    def ready(self) -> bool:
        """Whether all listeners are open."""
        return self._places.ready

    @property
    def open_connections(self) -> int:
        """Those that have not said whom they call."""
        return self._places.open_connections

    def recheck(self) -> int:
        """Nobody is known here who could be cut."""
        return 0

    def origin_of(self, key: str) -> Origin | None:
        """How the instances of an upstream are reached."""
        return PLAIN

    async def follow(self, wanted: MeshGateway | None) -> None:
        """Lead connections by these names from now on."""
        wanted = self._wanted = wanted if wanted is not None else MeshGateway(())
        await self._places.follow(wanted.binds, self._taker)

    def _taker(self, name: str) -> Taker | None:
        key = self._wanted.upstream(name)
        upstream = self._around.upstream(key) if key else None
        return upstream.accept() if isinstance(upstream, OutboundListener) else None
