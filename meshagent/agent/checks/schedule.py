"""What to run when: the timer structure of all checks. No I/O, no clock.

Source: surface rows K2 and K10-K14. One heap for everything that waits, at most one live item for each entry; one
queue a lane for what is due and has no place yet. Each operation costs O(log n) at most, and `take` stops after a given
number of steps, so that whoever drives this can let the event loop breathe between slices: 10,000 checks must not keep
a DNS answer waiting.

An entry that is moved later keeps its item in the heap and is put back when that comes up, so that a TTL check which
hears from its service each second does not fill the heap.

What may be changed here: no operation may look at all entries (but for the rare clearing of the heap).
"""

from __future__ import annotations

import enum
import heapq
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Entry", "Lane", "Schedule", "Slice"]


K = TypeVar("K")


class Lane(enum.Enum):
    """What an entry needs to run, and (value) how much of a slice starting it takes.

    Starting a program costs the loop as much as some sixteen connections: a millisecond or two.
    """

    AT_ONCE = ("at once", 1)
    SOCKET = ("socket", 1)
    PROCESS = ("process", 16)

    @property
    def cost(self) -> int:
        """Steps of a slice that one start takes."""
        return self.value[1]


class _State(enum.Enum):
    IDLE = enum.auto()  # no due time: an expired TTL
    WAITING = enum.auto()
    QUEUED = enum.auto()  # due, its lane is full
    RUNNING = enum.auto()
    REMOVED = enum.auto()


class Entry(Generic[K]):
    """One check in the schedule; the object is its identity, `key` is what its owner wants back."""

    __slots__ = ("_due", "_item", "_occupies", "_state", "key", "lane")

    def __init__(self, key: K, lane: Lane) -> None:
        self.key = key
        self.lane = lane
        self._state = _State.IDLE
        self._due = 0.0
        self._item: tuple[float, int] | None = None
        self._occupies = False

    @property
    def running(self) -> bool:
        """Whether it was taken and has not finished."""
        return self._state is _State.RUNNING

    @property
    def removed(self) -> bool:
        """Whether it left the schedule: a result that still comes is not wanted."""
        return self._state is _State.REMOVED


@dataclass(frozen=True, slots=True)
class Slice(Generic[K]):
    """What to start now."""

    entries: tuple[Entry[K], ...]
    more: bool
    """Something else can start at once: come back after the loop had its turn."""
    steps: int


class Schedule(Generic[K]):
    """The entries of one agent."""

    def __init__(self, limits: Mapping[Lane, int]) -> None:
        self._limits = dict(limits)
        self._heap: list[tuple[float, int, Entry[K]]] = []
        self._count = 0
        self._queues: dict[Lane, deque[Entry[K]]] = {lane: deque() for lane in limits}
        self._in_flight: dict[Lane, int] = dict.fromkeys(limits, 0)
        self._live = 0

    def __len__(self) -> int:
        return self._live

    def in_flight(self, lane: Lane) -> int:
        """How many of a lane are running."""
        return self._in_flight.get(lane, 0)

    def add(self, key: K, lane: Lane, due: float) -> Entry[K]:
        """A new entry, due at monotonic second `due`."""
        entry = Entry(key, lane)
        self._live += 1
        self._wait(entry, due)
        return entry

    def move(self, entry: Entry[K], due: float) -> None:
        """Make a waiting or idle entry due at another time; one that runs or is queued keeps its turn."""
        if entry._state in (_State.WAITING, _State.IDLE):
            self._wait(entry, due)

    def remove(self, entry: Entry[K]) -> None:
        """Forget an entry. If it is running its place stays taken until `finish`."""
        if entry._state is not _State.REMOVED:
            entry._state = _State.REMOVED
            entry._item = None
            self._live -= 1

    def finish(self, entry: Entry[K], due: float | None) -> bool:
        """An entry has run: give its place back, make it due again (None: idle).

        Returns whether another is waiting for the place.
        """
        if entry._occupies:
            entry._occupies = False
            self._in_flight[entry.lane] -= 1
        if entry._state is _State.RUNNING:
            if due is None:
                entry._state = _State.IDLE
            else:
                self._wait(entry, due)
        return bool(self._queues.get(entry.lane))

    def next_due(self) -> float | None:
        """When `take` may next have something; None: not before a change. An early answer does no harm."""
        return self._heap[0][0] if self._heap else None

    def take(self, now: float, budget: int) -> Slice[K]:
        """What to start at monotonic second `now`, in at most about `budget` steps, each lane within its limit."""
        out: list[Entry[K]] = []
        steps = 0
        for lane, queue in self._queues.items():
            while queue and steps < budget and self._has_room(lane):
                entry = queue.popleft()
                steps += 1
                if entry._state is _State.QUEUED:
                    steps += lane.cost - 1
                    out.append(self._begin(entry))
        while self._heap and self._heap[0][0] <= now and steps < budget:
            at, number, entry = heapq.heappop(self._heap)
            steps += 1
            if entry._item != (at, number) or entry._state is not _State.WAITING:
                continue  # removed, or another item stands for it
            if entry._due > now:
                self._push(entry, entry._due)
            elif self._has_room(entry.lane):
                steps += entry.lane.cost - 1
                out.append(self._begin(entry))
            else:
                entry._state = _State.QUEUED
                entry._item = None
                self._queues[entry.lane].append(entry)
        return Slice(tuple(out), self._more(now), steps)

    def _more(self, now: float) -> bool:
        if self._heap and self._heap[0][0] <= now:
            return True
        return any(queue and self._has_room(lane) for lane, queue in self._queues.items())

    def _has_room(self, lane: Lane) -> bool:
        return lane not in self._limits or self._in_flight[lane] < self._limits[lane]

    def _begin(self, entry: Entry[K]) -> Entry[K]:
        entry._state = _State.RUNNING
        entry._item = None
        if entry.lane in self._limits:
            entry._occupies = True
            self._in_flight[entry.lane] += 1
        return entry

    def _wait(self, entry: Entry[K], due: float) -> None:
        entry._state = _State.WAITING
        entry._due = due
        if entry._item is None or entry._item[0] > due:
            self._push(entry, due)

    def _push(self, entry: Entry[K], at: float) -> None:
        if len(self._heap) > 4 * self._live + 1000:
            self._compact()
        self._count += 1
        entry._item = (at, self._count)
        heapq.heappush(self._heap, (at, self._count, entry))

    def _compact(self) -> None:
        """Drop the items of what was removed or moved; rare enough to cost nothing in the mean."""
        self._heap = [item for item in self._heap if item[2]._item == item[:2]]
        heapq.heapify(self._heap)
