"""Committed entries become results: commands applied, proposers told, states exchanged.

Source: Ongaro and Ousterhout (2014), section 5.3. What an entry comes to depends on the entry and the state, never on
who waits for it here.

What may be changed: `apply` runs for every entry.
"""

from __future__ import annotations

from meshagent.catalog.raft.applying import Applier
from meshagent.catalog.raft.batch import RESTORE, decode_batch
from meshagent.catalog.raft.compaction import Compaction
from meshagent.catalog.raft.proposals import Proposals
from meshagent.catalog.raft.records import Entry
from meshagent.catalog.raft.restorer import Restorer
from meshagent.catalog.raft.telemetry import RaftMetrics
from meshagent.clock import Clock

__all__ = ["Committed"]


class Committed:
    """`compaction` is told how many commands there were; None where nothing is kept on disk."""

    def __init__(
        self, applier: Applier, proposals: Proposals, restorer: Restorer, clock: Clock, metrics: RaftMetrics
    ) -> None:
        self._applier = applier
        self._proposals = proposals
        self._restorer = restorer
        self._clock = clock
        self._metrics = metrics
        self.compaction: Compaction | None = None

    def apply(self, entry: Entry) -> None:
        """One committed entry. Raises CorruptData when it cannot be read."""
        payload, index, term = entry
        if payload[0] == RESTORE:
            self._restore(entry)
            return
        started = self._clock.monotonic()
        batch = self._proposals.claim(index, term)
        if batch is not None:
            count = len(batch.commands)
            self._metrics.incr("raft.apply", count)
            self._metrics.sample("raft.commitTime", (started - batch.proposed) * 1000)
            self._applier.answer(batch.commands, batch.ids, batch.futures, batch.time_ms)
        else:
            items, time_ms = decode_batch(payload)
            count = len(items)
            self._applier.replay(items, time_ms)
        if count:
            self._metrics.sample("raft.commitNumLogs", count)
            self._metrics.sample("raft.fsm.apply", (self._clock.monotonic() - started) * 1000)
        if self.compaction is not None:
            self.compaction.count(index, count)

    def _restore(self, entry: Entry) -> None:
        payload, index, term = entry
        exchanged = self._restorer.exchanged
        self._restorer.apply(payload)
        if self._restorer.exchanged != exchanged and self.compaction is not None:
            self.compaction.exchanged(index)
        batch = self._proposals.claim(index, term)
        if batch is not None:
            if self._restorer.error is not None:
                batch.fail(self._restorer.error)
            elif not batch.futures[0].done():
                batch.futures[0].set_result(None)
