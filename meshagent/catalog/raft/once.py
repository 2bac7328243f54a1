"""A retried write applies once: the results of the newest writes that came with an id.

Source: Ongaro (2014), section 6.3. Part of the replicated state: filled by applied entries only, bounded by their
order and by the time that stands in them, and inside each snapshot, so every server forgets the same id at the same
entry.

A retry comes within `rpc_hold_timeout` (7 s). Time is the log's own: each leader counts on, from where the log's time
stood, with its own monotonic clock, and writes it into its entries. It stands still while there is no leader, which
keeps an outcome longer, never shorter.

What may be changed: the three limits only together with the version in `state.py`: servers that keep different ids
differ.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import msgspec

from meshagent import errors
from meshagent.catalog.sharded import ShardedDict
from meshagent.errors import InternalError, MeshError

__all__ = ["KEPT", "KEPT_MS", "MOST_KEPT", "Dumped", "Outcomes"]

KEPT = 16384  # always kept, however old
KEPT_MS = 10_000  # kept for so long, however many: the longest hold of a write, and room for its way to the log
MARK_MS = 100  # how finely time is told apart
MOST_KEPT = 1 << 19  # never more; 170 bytes each: 27,000 writes/s keep 270,000, which take 46 MB

LET_GO_AT_ONCE = 5000
DUMPED_AT_ONCE = 500  # in one chunk of a snapshot: well under a millisecond

Outcome = tuple[str, Any]
Dumped = tuple[bytes, str, Any]

_OK_TRUE: Outcome = ("ok", True)  # what nearly all writes come to; one object for all of them
_OK_NONE: Outcome = ("ok", None)


class Outcomes:
    """`known`: request id -> what applying it gave: ("ok", result) or (name of the error, message). Read only."""

    def __init__(self, kept: int = KEPT, kept_ms: int = KEPT_MS, most: int = MOST_KEPT) -> None:
        self._kept = kept
        self._kept_ms = kept_ms
        self._most = most
        self.known: ShardedDict[bytes, Outcome] = ShardedDict()
        self._order: deque[bytes] = deque()  # oldest first
        self._results: deque[Outcome] = deque()  # of the same
        self._forgotten = 0  # how many of all that were ever added
        self._marks: deque[tuple[int, int]] = deque()  # (log time, how many had been added when it began)
        self._old = 0  # so many of all that were ever added are older than `kept_ms`
        self.time_ms = 0  # of the newest applied entry

    def __len__(self) -> int:
        return len(self._order)

    def result(self, request_id: bytes) -> Any:
        """The result again. Raises the error again."""
        kind, value = self.known[request_id]
        if kind == "ok":
            return value
        error = getattr(errors, kind, InternalError)
        raise error(value)

    def pass_to(self, time_ms: int) -> None:
        """An entry of log time `time_ms` is about to be applied (0: it has none). Forgets what is old by then."""
        if time_ms <= self.time_ms:
            return
        self.time_ms = time_ms
        marks = self._marks
        if not marks or time_ms >= marks[-1][0] + MARK_MS:
            marks.append((time_ms, self._forgotten + len(self._order)))
        while marks[0][0] <= time_ms - self._kept_ms:
            self._old = marks.popleft()[1]
        self._forget(min(self._old - self._forgotten, len(self._order) - self._kept))

    def _forget(self, count: int) -> None:
        if count > 0:
            known, order, results = self.known, self._order, self._results
            for _ in range(count):
                del known[order.popleft()]
                results.popleft()
            self._forgotten += count

    def add(self, request_id: bytes, result: Any) -> None:
        if result is True:  # nearly always
            self._put(request_id, _OK_TRUE)
        elif result is None:
            self._put(request_id, _OK_NONE)
        else:
            self._put(request_id, ("ok", result))

    def add_error(self, request_id: bytes, error: Exception) -> None:
        known = isinstance(error, MeshError) and hasattr(errors, type(error).__name__)
        self._put(request_id, (type(error).__name__ if known else "InternalError", str(error)))

    def _put(self, request_id: bytes, outcome: Outcome) -> None:
        self.known[request_id] = outcome
        order = self._order
        order.append(request_id)
        self._results.append(outcome)
        if len(order) > self._most:
            self._forget(1)

    def marks(self) -> list[tuple[int, int]]:
        """When what was added, for a snapshot; the first says how many are old."""
        base = self._forgotten
        return [(0, self._old - base), *((time_ms, count - base) for time_ms, count in self._marks)]

    def dump(self, at_once: int = DUMPED_AT_ONCE) -> Iterator[list[Dumped]]:
        """What is there at the moment of the call, in order of age; results that msgpack cannot hold as None."""
        # Two lists of references: 270,000 pairs made at once would hold the loop for 40 ms, these for 3.
        return _pieces(list(self._order), list(self._results), at_once)

    def load(self, time_ms: int, marks: list[tuple[int, int]], dumped: Iterable[Dumped]) -> None:
        """Be what `time_ms`, `marks()` and `dump()` were of."""
        self.known = ShardedDict()
        self._order.clear()
        self._results.clear()
        self._forgotten = 0
        self.time_ms = time_ms
        self._old = marks[0][1] if marks else 0
        self._marks = deque(marks[1:])
        self.extend(dumped)

    def let_go(self) -> Iterator[None]:
        """Steps that drop all of them; this is of no use any more."""
        return chain(self.known.let_go(), _popped(self._order, self._results))

    def extend(self, dumped: Iterable[Dumped]) -> None:
        """More of what `dump()` gave."""
        for request_id, kind, value in dumped:
            if kind == "ok":
                self.add(request_id, value)
            else:
                self._put(request_id, (kind, value))


def _popped(order: deque[bytes], results: deque[Outcome]) -> Iterator[None]:
    while order:
        for _ in range(min(LET_GO_AT_ONCE, len(order))):
            order.pop()
            results.pop()
        yield


def _pieces(ids: list[bytes], outcomes: list[Outcome], at_once: int) -> Iterator[list[Dumped]]:
    for at in range(0, len(ids), at_once):
        pairs = zip(ids[at : at + at_once], outcomes[at : at + at_once], strict=True)
        yield [(request_id, kind, _plain(value)) for request_id, (kind, value) in pairs]


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    try:
        return msgspec.to_builtins(value)
    except TypeError:
        return None
