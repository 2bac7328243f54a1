r"""The text of serf's snapshot: which members were alive and where, and how far the clocks had come.

    alive: web 10.0.0.1:8301
    not-alive: web
    clock: 12
    event-clock: 3
    query-clock: 0
    leave

Lines are appended; the whole is written anew (`compacted`) when it has grown. A host that changes over from Consul
keeps its file, so the form is serf's.

Source: surface row S52; golden notes, "Snapshot file". Pure: `snapshot_file.py` reads and writes. What may change here:
nothing that serf would read otherwise; unknown lines are skipped, as serf does.
"""

from __future__ import annotations

import msgspec

__all__ = ["Replayed", "SnapshotLog", "replay"]

#: Serf's limits: a file is written anew when it is longer than both.
COMPACT_BYTES = 128 * 1024
COMPACT_BYTES_PER_MEMBER = 256


class Replayed(msgspec.Struct):
    """What a snapshot says: addresses (`host:port`) of members by name, and the last times that were seen."""

    alive: dict[str, str] = msgspec.field(default_factory=dict)
    clock: int = 0
    event_clock: int = 0
    query_clock: int = 0


def replay(data: bytes, *, rejoin_after_leave: bool = False) -> Replayed:
    r"""Read a snapshot; a last line without its end was cut by a crash and does not count.

    >>> replay(b"alive: a b 10.0.0.1:8301\nclock: 4\n").alive
    {'a b': '10.0.0.1:8301'}
    """
    found = Replayed()
    text = data[: data.rfind(b"\n") + 1].decode("utf-8", "replace")
    for line in text.split("\n"):
        kind, colon, rest = line.partition(": ")
        if line == "leave":
            if not rejoin_after_leave:
                found = Replayed()
        elif not colon:
            continue
        elif kind == "alive":
            name, space, address = rest.rpartition(" ")
            if space:
                found.alive[name] = address
        elif kind == "not-alive":
            found.alive.pop(rest, None)
        elif kind in _CLOCKS and rest.isascii() and rest.isdigit() and len(rest) <= 20:
            setattr(found, _CLOCKS[kind], int(rest))
    return found


_CLOCKS = {"clock": "clock", "event-clock": "event_clock", "query-clock": "query_clock"}


class SnapshotLog:
    """What is to be written: `take` gives the lines since the last time."""

    def __init__(self, start: Replayed | None = None) -> None:
        start = start or Replayed()
        self._state = Replayed(dict(start.alive), start.clock, start.event_clock, start.query_clock)
        self._lines: list[str] = []
        self._size = 0
        self._left = False

    def alive(self, name: str, address: str) -> None:
        """`name` is alive at `host:port`."""
        if self._known(name) and self._state.alive.get(name) != address:
            self._state.alive[name] = address
            self._lines.append(f"alive: {name} {address}")

    def gone(self, name: str) -> None:
        """`name` has left or failed."""
        if self._known(name) and self._state.alive.pop(name, None) is not None:
            self._lines.append(f"not-alive: {name}")

    def clocks(self, member: int, event: int, query: int) -> None:
        """The last times that were seen; 0 is none."""
        if self._left:
            return
        state = self._state
        for kind, attribute, time in (
            ("clock", "clock", member),
            ("event-clock", "event_clock", event),
            ("query-clock", "query_clock", query),
        ):
            if time > getattr(state, attribute):
                setattr(state, attribute, time)
                self._lines.append(f"{kind}: {time}")

    def leave(self, *, rejoin_after_leave: bool) -> None:
        """We leave: nothing more is noted, and unless asked for, nobody is remembered."""
        if not rejoin_after_leave:
            self._state = Replayed()
        self._lines.append("leave")
        self._left = True

    def take(self) -> bytes:
        """The lines to append."""
        lines, self._lines = self._lines, []
        data = "".join(f"{line}\n" for line in lines).encode()
        self._size += len(data)
        return data

    @property
    def is_long(self) -> bool:
        """Whether the file should be written anew."""
        return self._size > max(COMPACT_BYTES, COMPACT_BYTES_PER_MEMBER * len(self._state.alive))

    def compacted(self) -> bytes:
        """The whole file; what `take` would have given is in it."""
        state = self._state
        lines = [f"alive: {name} {address}" for name, address in state.alive.items()]
        lines += [f"clock: {state.clock}", f"event-clock: {state.event_clock}", f"query-clock: {state.query_clock}"]
        if self._left:
            lines.append("leave")
        self._lines.clear()
        data = "".join(f"{line}\n" for line in lines).encode()
        self._size = len(data)
        return data

    def _known(self, name: str) -> bool:
        """A name with a line end in it would forge lines."""
        return not self._left and "\n" not in name and bool(name)
