"""One query in, one answer out: parse, look up, plan, remember. No I/O.

Source: surface rows D20, D21, D31, D34. Names outside our domains, and answers that need such a name resolved, come
back as `Elsewhere`: the edge asks the recursors, then calls `with_resolved` or `gave_up`.

What may change here: nothing per query for a cached answer; the edge reads `cache.udp` and `cache.tcp` itself and comes
here only when they have nothing ready.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from meshagent.catalog.store import Store
from meshagent.catalog.watch import Watches
from meshagent.clock import Clock
from meshagent.dns.answer import Plan, answer_once, failure
from meshagent.dns.cache import AnswerCache
from meshagent.dns.gate import Gate
from meshagent.dns.names import Asked, Kind, Zones, parse_name
from meshagent.dns.records import Scene, build, zone_record
from meshagent.dns.sections import Sections
from meshagent.dns.settings import DnsSettings
from meshagent.dns.view import CatalogView, NamesView, NotYet
from meshagent.dns.wire import (
    NXDOMAIN,
    REFUSED,
    SERVFAIL,
    ZONE_OWNER,
    Dropped,
    Malformed,
    Question,
    Record,
    parse_question,
)
from meshagent.errors import Unavailable

__all__ = ["Elsewhere", "Responder"]


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A query that must wait: for the view (`ready`), or for a recursor: the whole of it (`wants` empty), or the
    addresses of outside host names."""

    question: Question
    data: bytes
    tcp: bool
    wants: tuple[str, ...]
    asked: Asked
    ready: Callable[[], Awaitable[None]] | None = None


class Responder:
    """Answers queries from a store, or from another `view`.

    The SOA carries the unix time in seconds; it is right until monotonic second `second_ends`, then `tick` is due.
    """

    def __init__(
        self,
        store: Store,
        settings: DnsSettings,
        clock: Clock,
        rng: random.Random,
        datacenter: str,
        node_name: str = "",
        view: NamesView | None = None,
        gate: Gate | None = None,
        elsewhere: Callable[[str], NamesView] | None = None,
    ) -> None:
        """`elsewhere` gives the names of another datacenter, which may turn out not to exist."""
        self._gate = gate
        self._elsewhere = elsewhere
        self._clock = clock
        self._rng = rng
        self._datacenter = datacenter
        self._view: NamesView = view or CatalogView(store, node_name, datacenter)
        self.cache = AnswerCache(self._view.watches, rng)
        self.malformed = 0
        """Queries answered with FORMERR or NOTIMP, or dropped."""
        self.reverse = 0
        """Reverse look-ups that were not in the cache."""
        self.second_ends = float("-inf")
        self.settings = settings
        self._soa = zone_record(settings, ZONE_OWNER, 0)
        self._zones = Zones.of(settings.domain, settings.alt_domain)

    @property
    def watches(self) -> Watches:
        """What tells of changes of what answers were made of."""
        return self._view.watches

    def reconfigure(self, settings: DnsSettings) -> None:
        """Answer by other settings from now on."""
        self.settings = settings
        if self._gate is not None:
            self._gate.settings = settings
        self._zones = Zones.of(settings.domain, settings.alt_domain)
        self.cache.clear()
        self.second_ends = float("-inf")

    def tick(self, now: float) -> None:
        """Bring the serial up to date; to be called when monotonic second `now` has reached `second_ends`."""
        unix = self._clock.now().timestamp()
        serial = int(unix)
        self._soa = zone_record(self.settings, ZONE_OWNER, serial)
        self.second_ends = now + 1.0 - (unix - serial)
        self.cache.new_second()
        if self._gate is not None and not self._gate.is_open():
            self.cache.clear()

    def reply(self, data: bytes, tcp: bool, now: float, *, waited: bool = False) -> bytes | Elsewhere | None:
        """The answer to the packet `data` behind its id, or None for no answer.

        `waited`: what an `Elsewhere` of this query asked for is there.
        """
        if now >= self.second_ends:
            self.tick(now)
        cache = self.cache
        query = data[2:]
        if query in (cache.tcp if tcp else cache.udp).entries:
            ready = cache.refill(query, tcp, now, self._soa)
            if ready is not None:
                return ready
        try:
            question = parse_question(data)
        except Malformed as error:
            self.malformed += 1
            return error.reply
        except Dropped:
            self.malformed += 1
            return None
        qtype = question.type
        # An odd character could be a dot inside a label: such a name must not share facts with the one it looks like.
        name = (question.text if question.plain else f"\x00{question.text}", qtype)
        facts = cache.facts(name)
        asked = parse_name(question.text, question.plain, qtype, self._zones)
        gate = self._gate
        if gate is not None and not waited and asked.kind is not Kind.OUTSIDE and not gate.is_open():
            return Elsewhere(question, data, tcp, (), asked, gate.wait)
        if facts is None:
            if asked.kind is Kind.OUTSIDE:
                if self.settings.recursors:
                    return Elsewhere(question, data, tcp, (), asked)
                return failure(question, REFUSED, self.settings)
            try:
                sections = self._build(asked, qtype, {})
            except NotYet as missing:
                return Elsewhere(question, data, tcp, (), asked, missing.ready)
            except Unavailable:
                return failure(question, SERVFAIL, self.settings)
            if asked.kind is Kind.REVERSE:
                self.reverse += 1
                if sections.rcode == NXDOMAIN and self.settings.recursors:
                    return Elsewhere(question, data, tcp, (), asked)
            if sections.wants:
                return Elsewhere(question, data, tcp, sections.wants, asked)
            facts = cache.offer_facts(name, sections)
        else:
            sections = facts.sections
        if facts is not None:
            plan = Plan(question, sections, asked.zone, self.settings, tcp)
            if (gate is None or gate.keeps) and cache.offer_query(query, tcp, plan, facts):
                ready = cache.refill(query, tcp, now, self._soa)
                if ready is not None:
                    return ready
            return plan.render(self._rng, self._soa)
        return answer_once(question, sections, asked.zone, self.settings, tcp, self._rng, self._soa)

    def with_resolved(self, elsewhere: Elsewhere, resolved: Mapping[str, tuple[Record, ...]]) -> bytes:
        """The answer once the outside names it needs are resolved (or could not be: left out)."""
        known = {**dict.fromkeys(elsewhere.wants, ()), **resolved}
        sections = self._build(elsewhere.asked, elsewhere.question.type, known)
        plan = Plan(elsewhere.question, sections, elsewhere.asked.zone, self.settings, elsewhere.tcp)
        return plan.render(self._rng, self._soa)

    def gave_up(self, elsewhere: Elsewhere) -> bytes:
        """SERVFAIL: no recursor answered (row D31), or the view could not be had."""
        return failure(elsewhere.question, SERVFAIL, self.settings)

    def _build(self, asked: Asked, qtype: int, resolved: Mapping[str, tuple[Record, ...]]) -> Sections:
        view, datacenter = self._view, self._datacenter
        if asked.datacenter and asked.datacenter != datacenter.lower() and self._elsewhere is not None:
            view, datacenter = self._elsewhere(asked.datacenter), asked.datacenter
        return build(Scene(asked, qtype, self._zones, self.settings, view, datacenter, resolved))
