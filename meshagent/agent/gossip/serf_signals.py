"""What serf tells the edge, beside memberlist's commands.

Source: serf's events (surface section 9.3). What may change here: a new one is a class here and a case in `pools.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from meshagent.agent.gossip.member import Member
from meshagent.agent.gossip.serf_messages import Event, KeyResponse, Query
from meshagent.machine import Command

__all__ = [
    "Change",
    "KeysChanged",
    "LeaveEnded",
    "MembersChanged",
    "NameLost",
    "QueryCame",
    "QueryEnded",
    "QueryResult",
    "UserEventCame",
]


class Change:
    """Kinds of `MembersChanged`, in serf's words."""

    JOIN = "member-join"
    LEAVE = "member-leave"
    FAILED = "member-failed"
    UPDATE = "member-update"
    REAP = "member-reap"


@dataclass(frozen=True, slots=True)
class MembersChanged(Command):
    """A member joined, left, failed, changed its tags or was forgotten."""

    kind: str
    member: Member


@dataclass(frozen=True, slots=True)
class UserEventCame(Command):
    """A user event, ours or another's; each once."""

    event: Event


@dataclass(frozen=True, slots=True)
class QueryCame(Command):
    """A query that is meant for us and not serf's own; `Queries.respond` answers it, before `deadline`."""

    query: Query
    deadline: float


@dataclass(frozen=True, slots=True)
class QueryResult:
    """What came back on a query of ours: who acked, and the first answer of each."""

    acks: tuple[str, ...]
    responses: dict[str, bytes]
    nodes: int
    """Members when it was asked."""


@dataclass(frozen=True, slots=True)
class QueryEnded(Command):
    """The query that `Queries.ask` began is over: its time is up, or everybody has answered."""

    number: int
    result: QueryResult


@dataclass(frozen=True, slots=True)
class KeysChanged(Command):
    """A key query changed the keyring: keep `keys` (primary first), then say so with `Queries.keys_kept`."""

    token: int
    keys: tuple[bytes, ...]
    response: KeyResponse


@dataclass(frozen=True, slots=True)
class LeaveEnded(Command):
    """We have left: everybody has been told, and had the time to pass it on."""


@dataclass(frozen=True, slots=True)
class NameLost(Command):
    """Most members know another node under our name: this one must go."""
