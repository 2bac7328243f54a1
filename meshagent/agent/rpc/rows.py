"""The rows that this client agent follows, as values: for DNS, alias checks, and whoever needs rows.

A question is followed from when it is first needed. Until its first answer has come, `need` raises `NotYet`, and the
asker waits; later it is a look-up. What changes is told through `watches`, under one topic for each question. What
nobody has needed for a time is dropped: first whoever keeps something made of it is told to make it anew, which shows
whether it is still needed.

A name that gives nothing is kept only when it is asked for again: random names cost one round trip each, no more.

Source: README.md beside this file. What may be changed: times and bounds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from meshagent.agent.rpc.held import Held
from meshagent.agent.rpc.messages import Question
from meshagent.agent.rpc.questions import decode_rows
from meshagent.agent.rpc.upstream import Upstream
from meshagent.catalog.watch import Topic, Watches
from meshagent.clock import Clock
from meshagent.dns.cache import Seen
from meshagent.dns.view import NotYet
from meshagent.errors import Unavailable

__all__ = ["Rows"]

#: What is not needed for so long is dropped, between one and two times this.
IDLE_S = 600.0
#: How often `sweep` is to be called.
STEP_S = 2.0
#: How long the first answer to a question may take. A resolver asks again, or another server, after five seconds.
FIRST_S = 4.0
#: A name that gives nothing and was not asked for before is kept so long.
FLEETING_S = 2.0
MAX_ROWS = 8192

Key = tuple[str, str]


class _Entry:
    """One followed question."""

    __slots__ = ("cold", "fleeting", "held", "pins", "stale", "topic", "used_at", "value")

    def __init__(self, held: Held, topic: Topic, now: float) -> None:
        self.held = held
        self.topic = topic
        self.used_at = now
        self.cold = False
        self.fleeting = False
        self.pins = 0
        self.stale = True
        self.value: Any = None


class Rows:
    """All of one client. `max_age_s`: how old rows may be while no server is there."""

    def __init__(self, upstream: Upstream, clock: Clock, max_age_s: float = float("inf")) -> None:
        self.watches = Watches()
        self.max_age_s = max_age_s
        self._upstream = upstream
        self._clock = clock
        self._entries: dict[Key, _Entry] = {}
        self._seen = Seen(8192)
        self._expired = False
        #: The token that a question of a kind is asked with.
        self.token: Callable[[str], str] = lambda kind: ""

    def __len__(self) -> int:
        return len(self._entries)

    def need(self, kind: str, name: str) -> tuple[Any, Topic]:
        """The value of a question (names in lower case), and the topic that tells of its change.

        Raises:
            NotYet: its first answer has not come.
            MeshError: the servers refuse it, or what is held is too old.
        """
        entry = self._entry(kind, name)
        held = entry.held
        if not held.loaded:
            raise NotYet(lambda: self._upstream.first_answer(held, FIRST_S))
        if self._upstream.age_s > self.max_age_s:
            raise Unavailable("no server of the datacenter has been heard for longer than max_stale")
        if held.error is not None:
            raise held.error
        if entry.stale:
            entry.value = decode_rows(kind, held.body)
            entry.stale = False
        if not entry.value and not entry.fleeting and not entry.pins and not self._seen.before((kind, name)):
            entry.fleeting = True
        return entry.value, entry.topic

    def pin(self, kind: str, name: str) -> Topic:
        """Follow a question until `unpin`, whether it is needed or not; its topic."""
        entry = self._entry(kind, name)
        entry.pins += 1
        return entry.topic

    def unpin(self, kind: str, name: str) -> None:
        """The opposite of `pin`."""
        entry = self._entries.get((kind, name))
        if entry is not None and entry.pins:
            entry.pins -= 1

    def forget(self) -> None:
        """Ask everything anew: another token counts."""
        entries, self._entries = self._entries, {}
        for (kind, name), entry in entries.items():
            self._upstream.holdings.drop(entry.held)
            if entry.pins:
                self._entry(kind, name).pins = entry.pins
            self.watches.notify(entry.topic)
        self.watches.flush()

    def sweep(self) -> None:
        """Drop what is not needed, and tell when what is held has become too old. To be called every `STEP_S`."""
        now = self._clock.monotonic()
        expired = self._upstream.age_s > self.max_age_s
        if expired != self._expired:
            self._expired = expired
            self.watches.notify_all()
        for key, entry in list(self._entries.items()):
            unused_s = now - entry.used_at
            if entry.pins:
                continue
            if (entry.fleeting and unused_s >= FLEETING_S) or (entry.cold and unused_s >= 2 * IDLE_S):
                self._drop(key, entry)
            elif not entry.cold and unused_s >= IDLE_S:
                entry.cold = True
                self.watches.notify(entry.topic)
        self.watches.flush()

    def _entry(self, kind: str, name: str) -> _Entry:
        key = (kind, name)
        now = self._clock.monotonic()
        entry = self._entries.get(key)
        if entry is None:
            if len(self._entries) >= MAX_ROWS:
                self._make_room()
            held = self._upstream.holdings.follow(Question(kind, name, token=self.token(kind)))
            entry = self._entries[key] = _Entry(held, ("rows", f"{kind} {name}"), now)
            held.listeners[lambda: self._changed(entry)] = None
        elif entry.fleeting:
            entry.fleeting = False  # asked for again: it is kept
        entry.used_at = now
        entry.cold = False
        return entry

    def _changed(self, entry: _Entry) -> None:
        entry.stale = True
        self.watches.notify(entry.topic)
        self.watches.flush()

    def _make_room(self) -> None:
        """The one that was not needed for longest goes."""
        loose = [(entry.used_at, key) for key, entry in self._entries.items() if not entry.pins]
        if loose:
            key = min(loose)[1]
            self._drop(key, self._entries[key])
            self.watches.flush()

    def _drop(self, key: Key, entry: _Entry) -> None:
        del self._entries[key]
        self._upstream.holdings.drop(entry.held)
        self.watches.notify(entry.topic)
