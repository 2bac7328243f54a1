"""What goes into the gossip machines (events) and what comes out of them (commands).

Source: `meshagent/machine.py`. The serf machine takes and gives the same ones: it hands on to memberlist what is not
its own. What may be changed: a new one is a class here, a case in the machine's `handle` and a case in `transport.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from meshagent.agent.gossip.drops import Drop
from meshagent.agent.gossip.node import Address
from meshagent.agent.gossip.streams import StreamMessage
from meshagent.machine import Command, Event

__all__ = [
    "Closed",
    "Dial",
    "DialFailed",
    "DialRead",
    "JoinEnded",
    "LeaveSent",
    "PacketRead",
    "Reply",
    "SendPacket",
    "StreamRead",
    "StreamRefused",
]

# --- events


@dataclass(frozen=True, slots=True)
class PacketRead(Event):
    """One datagram, as it came."""

    data: bytes
    source: Address


@dataclass(frozen=True, slots=True)
class StreamRead(Event):
    """A peer dialled us and said one whole message; answer `stream` with `Reply` or `Closed`."""

    stream: int
    message: StreamMessage
    source: Address


@dataclass(frozen=True, slots=True)
class StreamRefused(Event):
    """What a peer sent on a stream it dialled cannot be read; `drop` is the word to count it under."""

    stream: int
    drop: Drop
    detail: str
    source: Address


@dataclass(frozen=True, slots=True)
class DialRead(Event):
    """The answer on a stream that we dialled; None where none was asked for and all is written."""

    dial: int
    message: StreamMessage | None


@dataclass(frozen=True, slots=True)
class DialFailed(Event):
    """Refused, timed out, closed early, or unreadable; `detail` in words."""

    dial: int
    detail: str


# --- commands


@dataclass(frozen=True, slots=True)
class SendPacket(Command):
    """Send one datagram; lost if it cannot be sent."""

    address: Address
    data: bytes


@dataclass(frozen=True, slots=True)
class Dial(Command):
    """Connect, write `data`, and, with `answered`, read one message; all before monotonic second `deadline`."""

    dial: int
    address: Address
    data: bytes
    deadline: float
    answered: bool


@dataclass(frozen=True, slots=True)
class Reply(Command):
    """Write `data` on a stream that a peer dialled, then close it."""

    stream: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Closed(Command):
    """Close a stream that a peer dialled, without an answer."""

    stream: int


@dataclass(frozen=True, slots=True)
class JoinEnded(Command):
    """The push/pull that `join` began is done; `error` says why not, in words, None if it worked."""

    join: int
    address: Address
    error: str | None


@dataclass(frozen=True, slots=True)
class LeaveSent(Command):
    """The notice that we leave has been sent as often as it is to be (or nobody is there to hear it)."""
