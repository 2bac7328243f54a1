"""Commands on their way: proposed, in an entry, answered.

Source: Gray and Reuter, "Transaction Processing" (1992), group commit: what is proposed while the loop is busy becomes
one entry. Ongaro and Ousterhout (2014), section 5.4: an entry of another term at the same index took our place.

What may be changed: this runs for every write; keep it to a few appends.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from meshagent.catalog.log import Answer
from meshagent.catalog.raft.batch import cut_batches
from meshagent.catalog.raft.settings import RaftSettings
from meshagent.catalog.raft.waiting import again
from meshagent.errors import MeshError, NoLeader

__all__ = ["Batch", "Proposals"]


@dataclass(slots=True)
class Batch:
    """What was proposed, under which id, and who waits; then the entry's term, its log time, when it was appended."""

    commands: list[bytes]
    ids: list[bytes | None]
    futures: list[Answer]
    term: int = 0
    time_ms: int = 0
    proposed: float = 0.0

    def fail(self, error: MeshError) -> None:
        for future in self.futures:
            if not future.done():
                future.set_exception(again(error))


class Proposals:
    """`new` is not in an entry yet; `waiting` are the batches in entries, by index."""

    def __init__(self, settings: RaftSettings) -> None:
        self._settings = settings
        self.new = Batch([], [], [])
        self.waiting: dict[int, Batch] = {}

    def __bool__(self) -> bool:
        return bool(self.waiting or self.new.commands)

    @property
    def oldest(self) -> float:
        """When the entry that waits longest was made; there is one."""
        return next(iter(self.waiting.values())).proposed

    def take(self) -> Batch:
        """What is new, once."""
        taken, self.new = self.new, Batch([], [], [])
        return taken

    def cut(self, batch: Batch) -> Iterator[Batch]:
        """`batch` in pieces that fit into one entry each."""
        limit, limit_bytes = self._settings.max_entry_commands, self._settings.max_entry_bytes
        if len(batch.commands) <= limit and sum(map(len, batch.commands)) <= limit_bytes:
            yield batch
            return
        for begin, end in cut_batches(batch.commands, limit, limit_bytes):
            yield Batch(batch.commands[begin:end], batch.ids[begin:end], batch.futures[begin:end])

    def claim(self, index: int, term: int) -> Batch | None:
        """The batch that entry `index` of `term` is made of; None when it was proposed elsewhere."""
        batch = self.waiting.pop(index, None)
        if batch is not None and batch.term != term:  # another leader's entry took the place of ours
            batch.fail(NoLeader("leadership lost while committing log"))
            return None
        return batch

    def fail(self, error: MeshError) -> None:
        """Whatever is in an entry and not applied."""
        for batch in self.waiting.values():
            batch.fail(error)
        self.waiting.clear()
