"""I/O edge: what a gateway of each kind is to its process. One row each.

Source: surface rows M27, M28, M31, X15-X18. What may change here: another kind is another class with these methods, and
a row of `_PROXIES`.
"""

from __future__ import annotations

from typing import Any, Protocol

from meshagent.connect.gateways.edge import Edge
from meshagent.connect.gateways.linked import TerminatingGateway
from meshagent.connect.gateways.ways import MeshGateway
from meshagent.connect.proxy.edge import EdgeGateway, Surroundings
from meshagent.connect.proxy.mesh_gateway import MeshGatewayProxy
from meshagent.connect.proxy.origins import Origin
from meshagent.connect.proxy.terminating import TerminatingProxy
from meshagent.connect.snapshot import Gateway

__all__ = ["GatewayProxy", "gateway_of"]


class GatewayProxy(Protocol):
    """The listeners of one gateway. `follow(None)`: it is registered no more."""

    @property
    def ready(self) -> bool:
        """Whether all listeners are open."""

    @property
    def open_connections(self) -> int:
        """Connections that nobody else counts."""

    async def follow(self, wanted: Any) -> None:
        """Open, change and close listeners."""

    def origin_of(self, key: str) -> Origin | None:
        """How the instances of an upstream are reached; None is the TLS of the mesh."""


_PROXIES: dict[type[Any], Any] = {
    Edge: EdgeGateway,
    MeshGateway: MeshGatewayProxy,
    TerminatingGateway: TerminatingProxy,
}


def gateway_of(wanted: Gateway, around: Surroundings) -> GatewayProxy:
    """The proxy of a gateway."""
    made: GatewayProxy = _PROXIES[type(wanted)](around)
    return made
