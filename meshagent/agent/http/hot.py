"""Reads answered before: raw request bytes -> what to write.

A client that asks the same thing sends the same bytes. When such a request was answered from a view, the bytes are
remembered with the view, and the next time they come the answer is written without being parsed. An entry never
outlives its view and is rebuilt from it when it has changed. Before it is used the log must let the read pass
(`gate`), as for a read that is parsed. Requests whose answer depends on anything else (blocking, `?cached`, `?near`)
are never remembered.

Source: design.md "The hot paths serve bytes"; surface rows C11, C15, C16. What may change here: bounds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from meshagent.agent.http.reads import Dress, Reads
from meshagent.agent.http.tallies import EMPTY, count_api, count_lookup
from meshagent.agent.http.views import View
from meshagent.errors import MeshError

if TYPE_CHECKING:
    import asyncio

    from meshagent.agent.acl.resolver import Identity
    from meshagent.agent.http.wire import DateLine
    from meshagent.metrics import Metrics, Sampler

__all__ = ["MAX_REQUEST", "HotEntry", "HotReads"]

#: Longer requests are not remembered, and not looked up.
MAX_REQUEST = 2048
MAX_ENTRIES = 16_384
#: What one remembered answer takes, for `api.http`: measured once instead of reading the clock for each.
HIT_MS = 0.01
#: Longer bodies are not copied behind their head but written beside it.
JOIN_UP_TO = 32 * 1024


class HotEntry:
    """One view in one dress. `wire` is what was written last; `build` brings it up to date."""

    __slots__ = (
        "_contact",
        "_date",
        "_dress",
        "_found",
        "_index",
        "_line",
        "_log",
        "_reads",
        "_version",
        "hits",
        "sampler",
        "view",
        "wire",
    )

    def __init__(self, view: View, dress: Dress, reads: Reads, date: DateLine, sampler: Sampler | None) -> None:
        self.view = view
        self.sampler = sampler
        self.hits = 0
        self.wire: tuple[bytes, ...] = ()
        self._dress = dress
        self._reads = reads
        self._date = date
        self._line = b""
        self._version = 0
        self._index = 0
        self._found = True
        self._log = reads.agent.log
        self._contact: tuple[str, int] | None = None

    def gate(self) -> asyncio.Future[None] | None:
        """When the answer may be given; None: now."""
        mode = self._dress.mode
        if mode == "stale" and self._log.has_heard:
            return None
        return self._log.read_gate(consistent=mode == "consistent")

    def current(self) -> tuple[bytes, ...]:
        """The pieces to write now; () when the question has become an error, which takes the long way."""
        view = self.view
        if (
            self._line is self._date.line
            and view.fresh
            and self._version == view.version
            and (not view.moving or self._index == view.index)
            and (self._contact is None or self._contact == (self._log.leader, self._log.last_contact_ms))
        ):
            return self.wire
        return self._build()

    def _build(self) -> tuple[bytes, ...]:
        view = self.view
        try:
            view.refresh()
        except MeshError:
            return ()
        found = view.body != EMPTY
        if found != self._found:
            self.fold()
            self._found = found
        answer = self._reads.dressed(view, self._dress)
        if self._dress.mode == "stale":
            self._contact = self._log.leader, self._log.last_contact_ms
        self._line = self._date.line
        self._version = view.version
        self._index = view.index
        if len(answer.body) <= JOIN_UP_TO:
            self.wire = (answer.head + self._line + answer.body,)
        else:
            self.wire = (answer.head + self._line, answer.body)
        return self.wire

    def fold(self) -> None:
        """Put the hits since the last time into the metrics."""
        hits, self.hits = self.hits, 0
        if self.sampler is not None:
            self.sampler.sample_many(HIT_MS, hits)
        count_api(self._reads.agent, self.view.api, hits)
        count_lookup(self._reads.agent.metrics, self.view, hits, found=self._found)


class HotReads:
    """All remembered requests of one server."""

    def __init__(self, metrics: Metrics) -> None:
        self.entries: dict[bytes, HotEntry] = {}
        self._by_view: dict[View, dict[Dress, HotEntry]] = {}
        self._raw_of: dict[View, dict[bytes, None]] = {}
        self._raw_by: dict[Identity, dict[bytes, None]] = {}
        self._identity_of: dict[bytes, Identity] = {}
        metrics.collect(lambda _: self.count())

    def remember(
        self,
        raw: bytes,
        view: View,
        dress: Dress,
        make: Callable[[], HotEntry],
        identity: Identity | None = None,
    ) -> None:
        """Answer the request `raw` from `view` in `dress` from now on, as long as the token of `identity` holds."""
        if len(raw) > MAX_REQUEST or raw in self.entries:
            return
        if len(self.entries) >= MAX_ENTRIES:
            self.forget(next(iter(self.entries.values())).view)
        dresses = self._by_view.setdefault(view, {})
        entry = dresses.get(dress)
        if entry is None:
            entry = dresses[dress] = make()
        self.entries[raw] = entry
        self._raw_of.setdefault(view, {})[raw] = None
        if identity is not None:
            raws = self._raw_by.get(identity)
            if raws is None:
                raws = self._raw_by[identity] = {}
                identity.listeners.append(lambda: self._ended(identity))
            raws[raw] = None
            self._identity_of[raw] = identity

    def _ended(self, identity: Identity) -> None:
        """The token may do something else now, or nothing."""
        for raw in self._raw_by.pop(identity, ()):
            del self._identity_of[raw]
            entry = self.entries.pop(raw, None)
            if entry is not None:
                self._raw_of.get(entry.view, {}).pop(raw, None)

    def look_again(self) -> None:
        """Have every request that brings a token be resolved once more."""
        for raw in self._identity_of:
            entry = self.entries.pop(raw, None)
            if entry is not None:
                self._raw_of.get(entry.view, {}).pop(raw, None)
        self._identity_of.clear()
        for raws in self._raw_by.values():
            raws.clear()

    def forget(self, view: View) -> None:
        """The view is no longer kept."""
        for entry in self._by_view.pop(view, {}).values():
            entry.fold()
        for raw in self._raw_of.pop(view, ()):
            self.entries.pop(raw, None)
            identity = self._identity_of.pop(raw, None)
            if identity is not None:
                self._raw_by[identity].pop(raw, None)

    def clear(self) -> None:
        """Forget everything."""
        for view in list(self._by_view):
            self.forget(view)

    def count(self) -> None:
        """Put the hits since the last time into the metrics."""
        for dresses in self._by_view.values():
            for entry in dresses.values():
                entry.fold()
