"""Putting back a state through the log: what is proposed on the leader, and what its entries do on every server.

Source: `staging.py` says why it goes through the log. Surface row SN2.

What may be changed: how much is on its way at a time.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from meshagent.catalog.raft.staging import CHUNK, EXCHANGE, THROW_AWAY, Part, decode_part, encode_part
from meshagent.catalog.raft.state import ReplicatedState
from meshagent.clock import Clock
from meshagent.errors import MeshError

__all__ = ["Restorer"]

ID_BYTES = 16


class Restorer:
    """One server's part. `aside` goes through steps beside everything else: to get a state ready, to let go of one."""

    def __init__(
        self,
        state: ReplicatedState,
        clock: Clock,
        rng: random.Random,
        slice_s: float,
        aside: Callable[[Iterator[object]], None],
    ) -> None:
        self._state = state
        self._clock = clock
        self._rng = rng
        self._slice_s = slice_s
        self._aside = aside
        self._steps: Iterator[Iterator[object] | None] | None = None  # of the exchange that is being applied
        self._own = (b"", 0)  # what this server proposes: (id, term)
        self._thrown = (b"", 0)  # what it threw away
        self.error: MeshError | None = None  # what the entry applied last came to
        self.exchanged = 0
        self.is_settling = False  # a state that has come as a whole is made ready

    # -- on the leader

    def begin(self, term: int) -> bytes:
        """The id of a new restore."""
        self._own = self._rng.randbytes(ID_BYTES), term
        return self._own[0]

    def throw_away(self, term: int) -> bytes:
        """The entry that throws away what is on its way, or is still to come of it."""
        self._thrown = self._state.staging.id, term
        return encode_part(THROW_AWAY, self._state.staging.id, 0)

    def is_orphaned(self, term: int) -> bool:
        """Whether something is on its way that nobody will finish: it began under another leader."""
        staged = self._state.staging.id, term
        return bool(staged[0]) and staged not in (self._own, self._thrown)

    def end(self) -> None:
        """What this server proposed is over, in one way or the other: what is left of it is an orphan."""
        self._own = (b"", 0)

    # -- on every server

    def apply(self, entry: bytes) -> bool:
        """One committed entry, or the next slice of it; False when it must be gone on with.

        Raises:
            CorruptData: this program does not know the entry. What it came to otherwise is in `error`.
        """
        self.error = None
        part = decode_part(entry) if self._steps is None else None
        try:
            return self._begin(part) if part is not None and part.kind != EXCHANGE else self._exchange(part)
        except MeshError as error:
            self._steps = None
            self.error = error
            return True

    def _begin(self, part: Part) -> bool:
        staging = self._state.staging
        if part.kind == CHUNK:
            staging.take(part.id, part.number, part.chunk)
            ahead = staging.settle_ahead()
            if ahead is not None:
                self.is_settling = True
                self._aside(self._ahead(ahead))
        elif part.id == staging.id:
            staging.throw_away()
        return True

    def _ahead(self, steps: Iterator[None]) -> Iterator[None]:
        try:
            yield from steps
        finally:
            self.is_settling = False

    def _exchange(self, part: Part | None) -> bool:
        if part is not None:
            self._steps = self._state.staging.exchange(part.id, part.number)
        until = self._clock.monotonic() + self._slice_s
        for old in self._steps or ():
            if old is not None:
                self._steps = None
                self.exchanged += 1
                self._aside(old)
                return True
            if self._clock.monotonic() >= until:
                return False
        raise AssertionError("an exchange ends with the old state")

    def reset(self) -> None:
        """The state was replaced by a leader's, and with it what was on its way."""
        self._steps = None
