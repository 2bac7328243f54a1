"""A state that is read from a snapshot beside the one in use, and then takes its place.

Source: design.md "Raft": nothing holds the loop for more than 50 ms at a million keys. So a snapshot is loaded chunk by
chunk, only the exchange itself is done at one stretch, and the old state is let go of in parts: each is a step of a
generator, and whoever drives it lets the loop run between steps.

What may be changed: the exchange must stay one step without a yield: a reader never sees half of each.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from meshagent.catalog import snapshot
from meshagent.catalog.log import Pause

if TYPE_CHECKING:
    from meshagent.catalog.store import Store

__all__ = ["Restoring"]

_ROWS = 1000  # let go of in one step
_PAUSE_S = 0.1


class Restoring:
    """`load` every chunk, `finish`, then `take_place` or forget it."""

    def __init__(self, store: Store, fresh: Store) -> None:
        self._store = store
        self._fresh = fresh
        self._reader = snapshot.Reader(fresh)

    def load(self, chunk: bytes) -> None:
        """The next chunk. Raises CorruptData."""
        self._reader.load(chunk)

    def finish(self) -> None:
        """Everything was loaded. Raises CorruptData when something is missing."""
        self._reader.finish()

    def take_place(self, *, lifted: bool = False) -> Iterator[object]:
        """Be the store's state from now on, and wake every reader; the steps returned let go of the old one.

        `lifted`: it is an older state put back into a log that goes on: the index stays above all that was answered,
        and the cluster is the one that it is, whichever one the state was saved in.
        """
        store, fresh = self._store, self._fresh
        if lifted:
            fresh.index = max(store.index, fresh.index) + 1
            fresh.cluster_id = store.cluster_id  # the cluster stays the one it is, wherever the state comes from
        fresh.sessions.on_freed = store.sessions.on_freed
        fresh.sessions.freed = store.sessions.freed
        fresh.on_replaced = store.on_replaced
        old = vars(store).copy()
        vars(store).update(vars(fresh))
        store.watches.notify_all()
        for listener in store.on_replaced:
            listener()
        return _let_go(old)

    def forget(self) -> Iterator[object]:
        """Instead: steps that let go of what was loaded."""
        state = vars(self._fresh).copy()
        vars(self._fresh).clear()
        return _let_go(state)


def _let_go(state: dict[str, Any]) -> Iterator[object]:
    registrations, kv = state["registrations"], state["kv"]
    history = state["history"]
    tables: list[dict[Any, Any]] = [registrations.services, registrations.checks]
    tables += [*history.kv.parts(), *history.config.parts()]
    state.clear()
    del registrations, history
    while kv.entry_copies.under_way or kv.tombstone_copies.under_way:  # a snapshot of it is being written
        yield Pause(_PAUSE_S)
    yield from kv.entries.let_go()
    yield from kv.tombstones.let_go()
    while tables:
        table = tables.pop()
        while table:
            for _ in range(min(_ROWS, len(table))):
                table.popitem()
            yield None
