"""How servers reach each other, and the transport of a server that has no others.

Source: ours. The RPC layer brings a `Transport`; the simulator another. What it promises is little: a message arrives
once, twice, late, in another order or never. What it must not do is make one up.

Connection epochs: each new connection to a peer gets a higher number than all before it in this process (`epoch`);
the engine writes it into what it asks, and drops answers that name another one. In the other direction `on_message`
says on which connection, numbered by the receiving side, a message came in: what comes on an older one than the last
heard from that peer is dropped.

What may be changed: nothing leaves before what it says is on disk: the engine's outbox sees to that, so a transport
may send at once. It never calls back from within `send`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from meshagent.catalog.raft.messages import Message

__all__ = ["Alone", "OnMessage", "Transport"]

OnMessage = Callable[[str, Message, int], None]  # (node id the connection was authenticated for, message, epoch)


class Transport(Protocol):
    """Messages between the servers of one cluster, by node id."""

    def attach(self, on_message: OnMessage, on_connection: Callable[[str], None]) -> None:
        """Whom to call, on the loop: `on_connection(node_id)` when a connection came up or went down."""

    def set_servers(self, servers: Mapping[str, str]) -> None:
        """The other servers, node id to `host:port`: keep connections to these, drop the rest."""

    def send(self, node_id: str, message: Message) -> None:
        """Send, or lose it; never waits, never raises for the network's sake."""

    def connected(self, node_id: str) -> bool:
        """Whether `send` has a connection to use now."""

    def epoch(self, node_id: str) -> int:
        """The number of the connection that `send` uses now, or used last; 0 before the first."""


class Alone:
    """A cluster of one."""

    def attach(self, on_message: OnMessage, on_connection: Callable[[str], None]) -> None:
        return

    def set_servers(self, servers: Mapping[str, str]) -> None:
        if servers:
            raise AssertionError("a server alone has no peers")

    def send(self, node_id: str, message: Message) -> None:
        raise AssertionError("a server alone has nobody to send to")

    def connected(self, node_id: str) -> bool:
        return False

    def epoch(self, node_id: str) -> int:
        return 0
