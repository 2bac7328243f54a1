"""The Raft transport over the connections of this port: `raft/transport.py`'s promise.

Source: `raft/transport.py`. A message goes over the connection that we dialled, or it is lost: while the peer does not
read it is dropped, since the engine says anew what still matters. TCP keeps the order within an epoch. What comes in
is taken only from a peer that was accepted as the server it says it is; a newer connection of it ends the older.

What may be changed: nothing waits here, and nothing calls back from within `send`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from meshagent.catalog.raft.messages import Message, decode_message, encode_message
from meshagent.catalog.raft.transport import OnMessage
from meshagent.catalog.rpc.link import Link, RpcMetrics
from meshagent.catalog.rpc.peers import Peers
from meshagent.catalog.rpc.reasons import Reason
from meshagent.catalog.rpc.server import RpcServer
from meshagent.errors import RemoteProtocolError

__all__ = ["RpcTransport"]


class RpcTransport:
    """Implements `Transport`. Takes `server.on_raft` for itself."""

    def __init__(self, server: RpcServer, peers: Peers, metrics: RpcMetrics) -> None:
        self._peers = peers
        self._metrics = metrics
        self._on_message: OnMessage | None = None
        server.on_raft = self._arrived

    def attach(self, on_message: OnMessage, on_connection: Callable[[str], None]) -> None:
        self._on_message = on_message
        self._peers.on_change.append(on_connection)

    def set_servers(self, servers: Mapping[str, str]) -> None:
        self._peers.set_servers(servers)

    def send(self, node_id: str, message: Message) -> None:
        link = self._peers.link(node_id)
        if link is None or not link.send_raft(encode_message(message)):
            self._metrics.incr("rpc.raft_dropped")

    def connected(self, node_id: str) -> bool:
        return self._peers.link(node_id) is not None

    def epoch(self, node_id: str) -> int:
        return self._peers.epoch(node_id)

    def _arrived(self, link: Link, payload: bytes) -> None:
        peer = link.peer
        if peer is None or link.reason is not None or self._on_message is None:
            return
        try:
            message = decode_message(payload)
            if message.sender != peer.node_id:
                raise RemoteProtocolError(f"a Raft message of {message.sender!r} from {peer.node_id!r}")
        except RemoteProtocolError as error:
            link.close(Reason.GARBAGE, str(error))
            return
        self._on_message(peer.node_id, message, link.number)
