"""I/O edge: what one server asks another, beside writes and read indexes: the methods, and who answers them.

Source: surface rows SE3, OP1-OP3. A leader alone renews sessions (their timers are its own) and changes the servers of
the log; any server takes such a request and asks the leader (`extras["leader_calls"]`). Payloads are msgpack.

What may change here: a method is a row in `server_methods`; names and layouts are on the wire: append-only.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import msgspec

from meshagent.agent.acl.setup import read_reset_index
from meshagent.catalog.rpc.hello import SERVER, Peer
from meshagent.errors import Conflict, Denied, InternalError, NoLeader, NotFound, RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from meshagent.agent.core import Agent
    from meshagent.catalog.raft.replica import RaftLog
    from meshagent.catalog.rpc.link import Handler

__all__ = [
    "ACL_RESET",
    "RAFT_CONFIGURATION",
    "RAFT_REMOVE",
    "RAFT_TRANSFER",
    "SESSION_RENEW",
    "Method",
    "RaftRow",
    "RaftRows",
    "decode",
    "encode",
    "hand_over",
    "raft_rows",
    "server_methods",
    "servers_only",
]

#: Methods, since 0.1.
SESSION_RENEW = "session-renew"
RAFT_CONFIGURATION = "raft-configuration"
RAFT_REMOVE = "raft-remove"
RAFT_TRANSFER = "raft-transfer"
#: Since 0.2: the index that allows another first token, as the leader's data directory has it.
ACL_RESET = "acl-reset-index"


#: How long a hand-over may take; the log gives it up after the shortest election timeout, a second at most.
HAND_OVER_S = 1.5


class RaftRow(msgspec.Struct, frozen=True, array_like=True):
    """One server of the configuration; `last_index` is how much of the log it is known to have."""

    node_id: str
    address: str
    voter: bool
    leader: bool
    last_index: int


class RaftRows(msgspec.Struct, frozen=True, array_like=True):
    """The configuration, and the index of its entry."""

    servers: tuple[RaftRow, ...]
    index: int


T = TypeVar("T")
#: Serves one method with one answer.
Method: TypeAlias = "Callable[[Peer, bytes], Awaitable[bytes]]"


def encode(value: object) -> bytes:
    """A payload."""
    return msgspec.msgpack.encode(value)


def decode(payload: bytes, type: type[T]) -> T:
    """Raises RemoteProtocolError."""
    try:
        return msgspec.msgpack.decode(payload, type=type)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError(f"a payload does not decode: {error}") from error


def raft_rows(raft: RaftLog) -> RaftRows:
    """The configuration as this server knows it."""
    leader = raft.leader_id
    rows = tuple(
        RaftRow(
            server.node_id, server.address, server.voter, server.node_id == leader, raft.known_index(server.node_id)
        )
        for server in raft.servers
    )
    return RaftRows(rows, raft.configuration_index)


def server_methods(agent: Agent) -> dict[str, Handler]:
    """What to pass to the RPC server."""

    async def renew(_: Peer, payload: bytes) -> bytes:
        session_id = decode(payload, str)
        if not agent.log.is_leader:
            raise NoLeader
        session = agent.store.sessions.rows.get(session_id)
        if session is None:
            raise NotFound(f"Session id '{session_id}' not found")
        agent.sessions.renew(session)
        return b""

    async def acl_reset(_: Peer, __: bytes) -> bytes:
        if not agent.log.is_leader:
            raise NoLeader
        return encode(await asyncio.to_thread(read_reset_index, agent.config.data_dir or ""))

    async def configuration(_: Peer, __: bytes) -> bytes:
        raft: RaftLog = agent.extras["raft"]
        await raft.barrier()
        return encode(raft_rows(raft))

    async def remove(_: Peer, payload: bytes) -> bytes:
        raft: RaftLog = agent.extras["raft"]
        node_id, address = decode(payload, tuple[str, str])
        _require_leader(raft)
        found = [
            server for server in raft.servers if (server.node_id == node_id if node_id else server.address == address)
        ]
        if not found:
            named = f"id {_quoted(node_id)}" if node_id else f"address {_quoted(address)}"
            raise InternalError(f"{named} was not found in the Raft configuration")
        try:
            await raft.remove_server(found[0].node_id)
        except Conflict as error:
            raise InternalError(str(error)) from error
        return b""

    async def transfer(_: Peer, payload: bytes) -> bytes:
        raft: RaftLog = agent.extras["raft"]
        node_id = decode(payload, str)
        _require_leader(raft)
        if node_id and all(server.node_id != node_id for server in raft.servers):
            raise InternalError(f"Could not find address for server id {node_id}")
        if not await hand_over(agent, node_id):
            raise InternalError("leadership transfer failed: the other server did not take over in time")
        return b""

    return {
        SESSION_RENEW: servers_only(renew),
        ACL_RESET: servers_only(acl_reset),
        RAFT_CONFIGURATION: servers_only(configuration),
        RAFT_REMOVE: servers_only(remove),
        RAFT_TRANSFER: servers_only(transfer),
    }


async def hand_over(agent: Agent, node_id: str = "") -> bool:
    """Hand leadership to a server that votes, by default the one that has most of the log; whether it was taken.

    Raises:
        NoLeader, InternalError: there is nothing to hand over, or nobody to hand it to.
    """
    raft: RaftLog = agent.extras["raft"]
    term, changed = raft.term, asyncio.Event()
    try:
        raft.transfer_leadership(node_id or None)
    except Conflict as error:
        raise InternalError("cannot find peer") from error
    raft.on_change.append(changed.set)
    try:
        async with asyncio.timeout(HAND_OVER_S):
            while raft.term == term and raft.is_ready:
                changed.clear()
                await changed.wait()
            return True
    except TimeoutError:
        return False
    finally:
        raft.on_change.remove(changed.set)


def servers_only(handler: Method) -> Handler:
    """A method that client agents may not ask: what their users want of it goes by HTTP, with its token."""

    async def checked(peer: Peer, payload: bytes) -> bytes:
        if peer.role != SERVER:
            raise Denied("Permission denied: only servers ask this")
        return await handler(peer, payload)

    return checked


def _require_leader(raft: RaftLog) -> None:
    if not raft.is_ready:
        raise NoLeader


def _quoted(text: str) -> str:
    """As Go writes a string in a message."""
    return msgspec.json.encode(text).decode()
