"""User events: each is told to all members, and taken once by each.

Source: surface rows S42, S48 (512 bytes, and a buffer of 512 times); golden notes "Clocks". What may change here:
nothing that a peer sees.
"""

from __future__ import annotations

from collections import Counter

from meshagent.agent.gossip.lamport import LamportClock
from meshagent.agent.gossip.seen import SeenWindow
from meshagent.agent.gossip.serf_codec import encode
from meshagent.agent.gossip.serf_messages import Event, EventsAt
from meshagent.agent.gossip.serf_settings import SerfSettings
from meshagent.errors import InternalError

__all__ = ["UserEvents"]

#: Names and payloads that are remembered, together; a push/pull carries all. 512 full events are 256 KiB.
_REMEMBERED_BYTES = 4 << 20


class UserEvents:
    """The events of one pool."""

    def __init__(self, settings: SerfSettings) -> None:
        self.counts: Counter[str] = Counter()
        self.clock = LamportClock()
        self._limit = settings.user_event_bytes
        self._seen: SeenWindow[tuple[str, bytes | None]] = SeenWindow(
            self.clock, weight=_weight, budget=_REMEMBERED_BYTES
        )
        self._seen.least = settings.least_event_time

    def made(self, name: str, payload: bytes | None, *, coalesce: bool = False) -> tuple[Event, bytes]:
        """A new event of ours, and its message. Raises InternalError: it is too large for gossip."""
        if len(name.encode()) + len(payload or b"") > self._limit:
            raise InternalError(f"user event exceeds configured limit of {self._limit} bytes before encoding")
        event = Event(self.clock.time, name, payload, coalesce)
        data = encode(event)
        if len(data) > self._limit:
            raise InternalError(f"encoded user event exceeds configured limit of {self._limit} bytes after encoding")
        self.clock.increment()
        return event, data

    def take(self, event: Event) -> bool:
        """An event came, ours or another's; whether it is news."""
        self.clock.witness(event.ltime)
        news = self._seen.take(event.ltime, (event.name, event.payload))
        self.counts["serf.events"] += news
        return news

    def ignore_before(self, ltime: int) -> None:
        """Events older than that were before we joined."""
        self._seen.least = max(self._seen.least, ltime)

    def remembered(self) -> tuple[EventsAt, ...]:
        """What a push/pull hands on."""
        return tuple(EventsAt(ltime, events) for ltime, events in self._seen)


def _weight(event: tuple[str, bytes | None]) -> int:
    return len(event[0]) + len(event[1] or b"")
