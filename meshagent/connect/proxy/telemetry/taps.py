"""Live requests for whoever looks: filters, and a bounded queue for each.

Source: issue "tap SERVICE"; the idea is linkerd's. What may change here: a filter is a row of `FILTERS`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase

from meshagent.connect.proxy.telemetry.record import Record
from meshagent.errors import RemoteProtocolError

__all__ = ["FILTERS", "QUEUED", "Tap", "matches_status"]

#: Records kept for one who does not read; the oldest go first.
QUEUED = 1000


def matches_status(wanted: str, status: int) -> bool:
    """`404`, `5xx`, `>=500`, `error` (5xx or no answer)."""
    if wanted == "error":
        return status >= 500 or not status
    if wanted.startswith(">="):
        return status >= int(wanted[2:])
    if wanted.endswith("xx"):
        return status // 100 == int(wanted[:-2])
    return status == int(wanted)


#: By name of the parameter; values may hold `*`.
FILTERS: dict[str, Callable[[str, Record], bool]] = {
    "direction": lambda wanted, record: record.direction == wanted,
    "source": lambda wanted, record: fnmatchcase(record.source, wanted),
    "destination": lambda wanted, record: fnmatchcase(record.destination, wanted),
    "method": lambda wanted, record: record.method == wanted.upper(),
    "path": lambda wanted, record: (
        fnmatchcase(record.path, wanted) if "*" in wanted else record.path.startswith(wanted)
    ),
    "status": lambda wanted, record: matches_status(wanted, record.status),
}


class Tap:
    """One who looks. `on_record` is called when something is queued."""

    def __init__(self, filters: Mapping[str, str], on_record: Callable[[], None] = lambda: None) -> None:
        """Raises RemoteProtocolError when a filter cannot be read."""
        for name, wanted in filters.items():
            if name not in FILTERS:
                raise RemoteProtocolError(f"no such filter: {name}")
            if name == "status":
                try:
                    matches_status(wanted, 200)
                except ValueError:
                    raise RemoteProtocolError(f"status: {wanted!r} is none of 404, 5xx, >=500, error") from None
        self._filters = [(FILTERS[name], wanted) for name, wanted in filters.items()]
        self._on_record = on_record
        self.queue: deque[Record] = deque(maxlen=QUEUED)
        self.dropped = 0

    def offer(self, record: Record) -> None:
        """Take a record if it passes all filters."""
        if all(fits(wanted, record) for fits, wanted in self._filters):
            self.dropped += len(self.queue) == QUEUED
            self.queue.append(record)
            self._on_record()
