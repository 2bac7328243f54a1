"""Answers ready to be sent, until what they say changes. The hot path reads two dictionaries of this module.

Source: design rule 5 ("the hot paths serve bytes"); surface row D23 (an own order for every answer).

Two levels. `Facts` are the records of one name and type in no one's spelling: they serve every client and every
0x20-mixed spelling, and hold the one subscription to the watch topics. An `Entry` is one exact query (all bytes behind
the id, by transport) under its facts; from its plan come the bytes:

* `Hot.rotating`: query -> iterator of answers. `next()` gives the next of a set of pre-encoded orders. When it is
  exhausted the set is drawn anew, and lasts so that a set is in use for 50 to 200 ms: at low rates every answer
  is drawn for itself, at 100,000 a second a draw costs nothing.
* `Hot.timed`: query -> answer that is true for this second only (it holds the SOA serial, which is the unix time).

Names asked for once leave no trace but a hash (`Seen`): random names neither fill the memory nor pay for an entry.
Everything is bounded, in number and in bytes; the oldest goes first, and what is refilled becomes the newest.

What may change here: the limits. The edge relies on `Hot` alone.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from itertools import chain, repeat
from typing import Final

from meshagent.catalog.watch import Subscription, Watches
from meshagent.dns.answer import Plan
from meshagent.dns.sections import Sections
from meshagent.dns.wire import Record

__all__ = ["AnswerCache", "Facts", "Hot", "Seen"]

MAX_ENTRIES: Final = 16384
MAX_FACTS: Final = 16384
MAX_BYTES: Final = 48 * 1024 * 1024
#: Answers from one set of orders, at most.
_MAX_BUDGET: Final = 8192
#: A set drawn sooner than this after the one before it was too small; one that lasted longer than that too large.
_TOO_SOON_S: Final = 0.05
_TOO_LONG_S: Final = 0.2
#: What an entry or facts weigh besides their bytes: measured with sys.getsizeof over their parts.
_ENTRY_OVERHEAD: Final = 800
_FACTS_OVERHEAD: Final = 1200
_RECORD_OVERHEAD: Final = 240
#: Facts with at least this many records are kept at first sight: they are dear to collect.
_DEAR: Final = 8

Name = tuple[str, int]


class Hot:
    """What the edge reads for one transport."""

    __slots__ = ("entries", "rotating", "timed")

    def __init__(self) -> None:
        self.rotating: dict[bytes, Iterator[bytes]] = {}
        self.timed: dict[bytes, bytes] = {}
        self.entries: dict[bytes, Entry] = {}


class Facts:
    """Records kept until a topic fires, and the entries made of them."""

    __slots__ = ("entries", "name", "sections", "size_bytes", "subscription")

    def __init__(self, name: Name, sections: Sections) -> None:
        self.name = name
        self.sections = sections
        self.subscription: Subscription | None = None
        self.entries: set[tuple[bool, bytes]] = set()
        records = len(sections.answers) + sum(map(len, sections.extras)) + sum(map(len, sections.texts))
        self.size_bytes = _FACTS_OVERHEAD + len(name[0]) + _RECORD_OVERHEAD * records


class Entry:
    """One exact query: its plan, and how many answers its sets of orders are to give."""

    __slots__ = ("budget", "drawn_at", "facts", "plan", "size_bytes")

    def __init__(self, plan: Plan, facts: Facts) -> None:
        self.plan = plan
        self.facts = facts
        self.budget = 1
        self.drawn_at = float("-inf")
        self.size_bytes = 0


class Seen:
    """Remembers what was asked for lately, by hash: a repeated question is worth keeping."""

    __slots__ = ("_limit", "_now", "_past")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._now: set[int] = set()
        self._past: set[int] = set()

    def before(self, thing: object) -> bool:
        """Whether `thing` was seen; it has been from now on."""
        mark = hash(thing)
        now = self._now
        if mark in now:
            return True
        if len(now) >= self._limit:
            self._past, self._now = now, {mark}
        else:
            now.add(mark)
        return mark in self._past

    def clear(self) -> None:
        self._now.clear()
        self._past.clear()


class AnswerCache:
    """Facts and entries of one server."""

    def __init__(
        self,
        watches: Watches,
        rng: random.Random,
        max_entries: int = MAX_ENTRIES,
        max_facts: int = MAX_FACTS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._watches = watches
        self._rng = rng
        self._max_entries = max_entries
        self._max_facts = max_facts
        self._max_bytes = max_bytes
        self.udp = Hot()
        self.tcp = Hot()
        self.size_bytes = 0
        self._entries_bytes = 0
        self._facts: dict[Name, Facts] = {}
        self._seen_names = Seen(8192)
        self._seen_queries = Seen(8192)

    def __len__(self) -> int:
        """How many exact queries are kept."""
        return len(self.udp.entries) + len(self.tcp.entries)

    # --- facts -------------------------------------------------------------------------------------------------

    def facts(self, name: Name) -> Facts | None:
        """What is known of a name and type."""
        return self._facts.get(name)

    def offer_facts(self, name: Name, sections: Sections) -> Facts | None:
        """Keep `sections` if they are worth it."""
        if len(sections.answers) < _DEAR and not self._seen_names.before(name):
            return None
        facts = Facts(name, sections)
        if sections.topics:
            facts.subscription = self._watches.subscribe(sections.topics, partial(self._forget, facts))
        self._facts[name] = facts
        self.size_bytes += facts.size_bytes
        if len(self._facts) > self._max_facts:
            self._forget(next(iter(self._facts.values())))
        self._shrink()
        return facts

    def _forget(self, facts: Facts) -> None:
        if self._facts.get(facts.name) is not facts:
            return
        del self._facts[facts.name]
        self.size_bytes -= facts.size_bytes
        if facts.subscription is not None:
            facts.subscription.cancel()
        for tcp, query in facts.entries:
            self._drop(self.tcp if tcp else self.udp, query)
        facts.entries = set()

    # --- entries -----------------------------------------------------------------------------------------------

    def offer_query(self, query: bytes, tcp: bool, plan: Plan, facts: Facts) -> bool:
        """Keep the plan of `query` (all behind the id) if it was asked before; whether it was kept."""
        if not self._seen_queries.before((tcp, query)) or self._facts.get(facts.name) is not facts:
            return False
        hot = self.tcp if tcp else self.udp
        hot.entries[query] = Entry(plan, facts)
        facts.entries.add((tcp, query))
        if len(self) > self._max_entries:
            oldest = self.udp if len(self.udp.entries) >= len(self.tcp.entries) else self.tcp
            self._evict(oldest)
        return True

    def refill(self, query: bytes, tcp: bool, now: float, soa: Record) -> bytes | None:
        """The next answer to a query that is kept but has no bytes ready, or None for one that is not kept."""
        hot = self.tcp if tcp else self.udp
        entry = hot.entries.pop(query, None)
        if entry is None:
            return None
        hot.entries[query] = entry  # now the newest
        plan = entry.plan
        if plan.timed:
            answer = plan.render(self._rng, soa)
            hot.timed[query] = answer
            self._weigh(entry, query, len(answer))
            return answer
        if plan.constant:
            answer = plan.render(self._rng, soa)
            hot.rotating[query] = repeat(answer)
            self._weigh(entry, query, len(answer))
            return answer
        lasted = now - entry.drawn_at
        entry.drawn_at = now
        if lasted < _TOO_SOON_S:
            entry.budget = min(entry.budget * 2, _MAX_BUDGET)
        elif lasted > _TOO_LONG_S:
            entry.budget = max(1, int(entry.budget * _TOO_SOON_S / lasted))
        orders = min(entry.budget, max(1, 512 // max(8, plan.answers)))
        drawn = [plan.render(self._rng, soa) for _ in range(orders)]
        answers = chain.from_iterable(repeat(drawn, entry.budget // orders))
        hot.rotating[query] = answers
        self._weigh(entry, query, sum(map(len, drawn)))
        return next(answers)

    def new_second(self) -> None:
        """The clock has moved on: answers with a serial are to be made anew."""
        self.udp.timed.clear()
        self.tcp.timed.clear()

    def clear(self) -> None:
        """Forget everything (the settings have changed)."""
        for facts in list(self._facts.values()):
            self._forget(facts)
        self._seen_names.clear()
        self._seen_queries.clear()

    def _weigh(self, entry: Entry, query: bytes, answers_bytes: int) -> None:
        size = _ENTRY_OVERHEAD + 2 * len(query) + answers_bytes
        self.size_bytes += size - entry.size_bytes
        self._entries_bytes += size - entry.size_bytes
        entry.size_bytes = size
        self._shrink()

    def _shrink(self) -> None:
        """Drop the oldest, of what weighs more, until the bytes fit; the newest entry and the newest facts stay."""
        while self.size_bytes > self._max_bytes:
            hot = self.udp if len(self.udp.entries) >= len(self.tcp.entries) else self.tcp
            heavy = 2 * self._entries_bytes > self.size_bytes or len(self._facts) <= 1
            if heavy and len(hot.entries) > 1:
                self._evict(hot)
            elif len(self._facts) > 1:
                self._forget(next(iter(self._facts.values())))
            else:
                return

    def _evict(self, hot: Hot) -> None:
        query = next(iter(hot.entries))
        hot.entries[query].facts.entries.discard((hot is self.tcp, query))
        self._drop(hot, query)

    def _drop(self, hot: Hot, query: bytes) -> None:
        entry = hot.entries.pop(query, None)
        if entry is not None:
            self.size_bytes -= entry.size_bytes
            self._entries_bytes -= entry.size_bytes
        hot.rotating.pop(query, None)
        hot.timed.pop(query, None)
