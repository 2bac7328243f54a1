"""serf's messages as values; `serf_codec.py` has their bytes.

Source: surface rows S40, S41; tests/data/golden/gossip. What may change here: numbers are append-only, fields are those
of the wire.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

__all__ = [
    "EVENT_SLOTS",
    "FLAG_ACK",
    "FLAG_NO_BROADCAST",
    "ConflictResponse",
    "Event",
    "EventsAt",
    "Join",
    "KeyRequest",
    "KeyResponse",
    "Kind",
    "Leave",
    "Message",
    "PushPull",
    "Query",
    "QueryResponse",
    "Relay",
]

#: Slots of the event buffer in a push/pull.
EVENT_SLOTS = 512
#: Query flags: the asker wants to know who received it; do not gossip it on.
FLAG_ACK = 1
FLAG_NO_BROADCAST = 2


class Kind(IntEnum):
    """Message numbers, append-only; all are as old as serf 0.7 (relay 0.8)."""

    LEAVE = 0
    JOIN = 1
    PUSH_PULL = 2
    USER_EVENT = 3
    QUERY = 4
    QUERY_RESPONSE = 5
    CONFLICT_RESPONSE = 6
    KEY_REQUEST = 7
    KEY_RESPONSE = 8
    RELAY = 9


class Join(msgspec.Struct, frozen=True):
    """`node` has joined at member time `ltime`."""

    ltime: int
    node: str


class Leave(msgspec.Struct, frozen=True):
    """`node` means to leave, or is made to; `prune` forgets it at once."""

    ltime: int
    node: str
    prune: bool = False


class Event(msgspec.Struct, frozen=True):
    """A user event; `coalesce` lets a receiver keep only the newest of a name."""

    ltime: int
    name: str
    payload: bytes | None = None
    coalesce: bool = False


class EventsAt(msgspec.Struct, frozen=True):
    """All events of one event time, as a push/pull carries them: (name, payload)."""

    ltime: int
    events: tuple[tuple[str, bytes | None], ...]


class Query(msgspec.Struct, frozen=True):
    """A question to those that all `filters` (still encoded) let through; answers go to `addr`:`port`."""

    ltime: int
    id: int
    addr: bytes
    port: int
    source_node: str
    filters: tuple[bytes, ...] = ()
    flags: int = 0
    relay_factor: int = 0
    timeout_ns: int = 0
    name: str = ""
    payload: bytes | None = None


class QueryResponse(msgspec.Struct, frozen=True):
    """An answer, or with FLAG_ACK the word that the query has come."""

    ltime: int
    id: int
    sender: str
    flags: int = 0
    payload: bytes | None = None


class PushPull(msgspec.Struct, frozen=True):
    """What one side of a full exchange knows: `status` is name -> member time, `left` the names that have left."""

    ltime: int
    status: dict[str, int]
    left: tuple[str, ...]
    event_ltime: int
    events: tuple[EventsAt, ...]
    query_ltime: int


class KeyRequest(msgspec.Struct, frozen=True):
    """The key that a key query is about; empty for a listing."""

    key: bytes = b""


class KeyResponse(msgspec.Struct, frozen=True):
    """What a member did with a key query; `keys` (base64) is None unless it lists them."""

    result: bool
    message: str = ""
    keys: tuple[str, ...] | None = None
    primary_key: str = ""


class ConflictResponse(msgspec.Struct, frozen=True):
    """What a member knows of a name that two claim; not `known` is nil on the wire."""

    name: str = ""
    addr: bytes = b""
    port: int = 0
    tags: dict[str, str] = {}
    status: int = 0
    """1 alive, 2 leaving, 3 left, 4 failed."""
    versions: tuple[int, int, int, int, int, int] = (0, 0, 0, 0, 0, 0)
    """Protocol min, max, current, delegate min, max, current."""
    known: bool = True


class Relay(msgspec.Struct, frozen=True):
    """Hand `inner` (a whole message) on to the node at `addr`:`port`."""

    addr: bytes
    port: int
    name: str
    inner: bytes


Message = Join | Leave | Event | Query | QueryResponse | PushPull | KeyRequest | KeyResponse | ConflictResponse | Relay
