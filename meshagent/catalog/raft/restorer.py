"""Putting back a state through the log: what is proposed on the leader, and what its entries do on every server.

Source: `staging.py` says why it goes through the log. Surface row SN2.

What may be changed: how much is on its way at a time.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from meshagent.catalog.raft.staging import CHUNK, EXCHANGE, THROW_AWAY, decode_part, encode_part
from meshagent.catalog.raft.state import ReplicatedState
from meshagent.errors import MeshError

__all__ = ["Restorer"]

ID_BYTES = 16


class Restorer:
    """One server's part. `aside` goes through steps beside everything else: those that let go of a state."""

    def __init__(
        self,
        state: ReplicatedState,
        rng: random.Random,
        aside: Callable[[Iterator[object]], None],
    ) -> None:
        self._state = state
        self._rng = rng
        self._aside = aside
        self._own = (b"", 0)  # what this server proposes: (id, term)
        self._thrown = (b"", 0)  # what it threw away
        self.error: MeshError | None = None  # what the entry applied last came to
        self.exchanged = 0

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

    def apply(self, entry: bytes) -> None:
        """One committed entry.

        Raises:
            CorruptData: this program does not know it. What it came to otherwise is in `error`.
        """
        self.error = None
        part = decode_part(entry)
        staging = self._state.staging
        try:
            if part.kind == CHUNK:
                staging.take(part.id, part.number, part.chunk)
            elif part.kind == EXCHANGE:
                staging.exchange(part.id, part.number)
                self.exchanged += 1
            elif part.id == staging.id:
                staging.throw_away()
        except MeshError as error:
            self.error = error
        for steps in staging.leaving():
            self._aside(steps)
