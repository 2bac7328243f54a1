"""What goes into a connection's machine (events) and what comes out of it (commands).

Source: `meshagent/machine.py`; mitmproxy's events and commands. What may be changed: adding one is a row in
`connection._ON_EVENT`, or a case in `link.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from meshagent.catalog.rpc.hello import Peer
from meshagent.catalog.rpc.reasons import Reason
from meshagent.errors import MeshError
from meshagent.machine import Command, Event

__all__ = [
    "Abandon",
    "Accepted",
    "Answered",
    "Arrived",
    "Call",
    "Cancelled",
    "Close",
    "Credited",
    "Failed",
    "LastPiece",
    "Lost",
    "Opened",
    "Paused",
    "Piece",
    "RaftArrived",
    "Read",
    "Received",
    "Refuse",
    "Reply",
    "Resumed",
    "SendRaft",
    "Stop",
    "StreamEnded",
    "Streamed",
    "Write",
]

# --- events: the socket


@dataclass(frozen=True, slots=True)
class Opened(Event):
    """The socket (and TLS on it) is there."""


@dataclass(frozen=True, slots=True)
class Received(Event):
    """Bytes came in."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Lost(Event):
    """The socket is gone; `reason` is CERTIFICATE when TLS said so after its handshake."""

    detail: str = ""
    reason: Reason = Reason.LOST


@dataclass(frozen=True, slots=True)
class Paused(Event):
    """The peer does not read: keep what there is to send."""


@dataclass(frozen=True, slots=True)
class Resumed(Event):
    """There is room for a burst; send it again while there still is."""


# --- events: what this agent wants


@dataclass(frozen=True, slots=True)
class Call(Event):
    """Ask the peer. `token` is any hashable thing; the answer names it. `window`: of a stream, in bytes; 0: none."""

    token: Any
    method: str
    payload: bytes
    timeout_s: float
    window: int = 0


@dataclass(frozen=True, slots=True)
class Read(Event):
    """`size` more bytes (`frames.weight`) of the stream of `token` were read by who asked for it."""

    token: Any
    size: int


@dataclass(frozen=True, slots=True)
class Abandon(Event):
    """Nobody waits for the answer of `token` any more."""

    token: Any


@dataclass(frozen=True, slots=True)
class Reply(Event):
    """The answer of the peer's request `id`."""

    id: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Refuse(Event):
    """The peer's request `id` failed."""

    id: int
    error: BaseException


@dataclass(frozen=True, slots=True)
class Piece(Event):
    """A piece of a longer answer of request `id`."""

    id: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class LastPiece(Event):
    """The longer answer of request `id` is complete."""

    id: int


@dataclass(frozen=True, slots=True)
class SendRaft(Event):
    """Send a Raft message now or drop it."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Stop(Event):
    """End the connection and say why."""

    reason: Reason
    detail: str = ""


# --- commands


@dataclass(frozen=True, slots=True)
class Write(Command):
    """Put these bytes on the wire."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Close(Command):
    """The connection has ended; close the socket when what was written has left. `by_peer`: it said the reason."""

    reason: Reason
    detail: str
    by_peer: bool = False


@dataclass(frozen=True, slots=True)
class Accepted(Command):
    """Both sides want to talk."""

    peer: Peer


@dataclass(frozen=True, slots=True)
class Arrived(Command):
    """A request to serve: answer with Reply, Refuse, or Piece and LastPiece."""

    id: int
    method: str
    payload: bytes
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Credited(Command):
    """A stream that had used up its window may go on."""


@dataclass(frozen=True, slots=True)
class Cancelled(Command):
    """Nobody waits for the answer of request `id` any more."""

    id: int


@dataclass(frozen=True, slots=True)
class Answered(Command):
    """Our call was answered."""

    token: Any
    payload: bytes


@dataclass(frozen=True, slots=True)
class Failed(Command):
    """Our call failed: at the peer, or on the way (Unavailable, Timeout)."""

    token: Any
    error: MeshError


@dataclass(frozen=True, slots=True)
class Streamed(Command):
    """A piece of the answer of our call."""

    token: Any
    payload: bytes


@dataclass(frozen=True, slots=True)
class StreamEnded(Command):
    """The answer of our call is complete."""

    token: Any


@dataclass(frozen=True, slots=True)
class RaftArrived(Command):
    """A Raft message of a server."""

    payload: bytes
