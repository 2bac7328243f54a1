"""What a leader knows about one follower.

Source: Ongaro (2014), section 10.2 (pipelining). `match` is what the follower acknowledged in this term on this
connection, on its disk; it falls only with the connection, as who comes back may have lost its disk. `next` is a guess.
`probing`: the guess is being tried, one message at a time; otherwise entries are sent without waiting, up to a window.

What may be changed: the window, with a measurement.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from meshagent.catalog.raft.records import Entry

__all__ = ["WINDOW_BYTES", "Progress"]

WINDOW_BYTES = 8 << 20
WINDOW_MESSAGES = 256


@dataclass(slots=True)
class Progress:
    next: int
    match: int = 0
    round: int = 0  # the newest round it answered
    answered_at: float = 0.0
    epoch: int = -1  # the connection that `next` and `flying` are about
    incarnation: int = 0  # of the data directory that answers; 0: it has not said
    probing: bool = True
    awaiting: bool = False  # a probe is under way
    installing: bool = False  # a snapshot is under way
    behind: list[Entry] = field(default_factory=list)  # entries around `next` that are only on the leader's disk
    flying: deque[tuple[int, int, float]] = field(default_factory=deque)  # (last index, bytes, when it was sent)
    flying_bytes: int = 0

    @property
    def is_full(self) -> bool:
        return self.flying_bytes >= WINDOW_BYTES or len(self.flying) >= WINDOW_MESSAGES

    def is_behind(self, first: int) -> bool:
        """Whether what it needs next is neither in the log in memory, which begins at `first`, nor in `behind`."""
        if self.next > first:
            self.behind = []
            return False
        return not (self.behind and self.behind[0][1] < self.next <= self.behind[-1][1])

    def reconnected(self) -> None:
        """What was under way is lost, and what was acknowledged must be shown again: its disk may be another one."""
        begin = self.next if self.probing else self.match + 1
        self.match = 0
        self.probe(begin)

    def heard(self, incarnation: int) -> None:
        """Answers come from another data directory: what this one acknowledged does not count for that one."""
        if self.incarnation:
            self.match = self.round = 0
            self.probe(self.next)
        self.incarnation = incarnation

    def probe(self, next_index: int) -> None:
        self.next = max(self.match + 1, next_index)
        self.probing = True
        self.awaiting = False
        self.flying.clear()
        self.flying_bytes = 0

    def sent(self, last_index: int, size: int, now: float) -> None:
        if self.probing:
            self.awaiting = True
            return
        self.next = last_index + 1
        self.flying.append((last_index, size, now))
        self.flying_bytes += size

    def confirm(self, index: int) -> float | None:
        """The follower has all up to `index` on its disk; when the newest of it was sent, if that is known."""
        sent_at = None
        self.match = max(self.match, index)
        self.next = max(self.next, self.match + 1)
        self.probing = self.awaiting = False
        while self.flying and self.flying[0][0] <= self.match:
            _, size, sent_at = self.flying.popleft()
            self.flying_bytes -= size
        return sent_at
