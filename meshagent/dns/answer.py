"""From records to the bytes of one client's answer: flags, room, order, TC, SOA, spelling.

Source: surface rows D20, D21, D23-D28, D30; RFC 1035 section 4.1.1, RFC 2181 section 9 (TC), RFC 6891 (OPT), RFC 2308.

A `Plan` is the part that stays: one question (with its spelling, flags and EDNS) and the `Sections` that answer it.
`Plan.render` makes one answer with its own order; it is what the cache calls again and again. Sizes are computed, not
tried: answers of one kind cost the same each, so the number that fits follows from a division.

What may change here: speed. What TC means is decision 3 of the README.
"""

from __future__ import annotations

import random
from struct import Struct
from typing import Final

from meshagent.dns.names import Zone
from meshagent.dns.order import Order
from meshagent.dns.sections import Sections, Sizes
from meshagent.dns.settings import MAX_UDP_ANSWERS, DnsSettings
from meshagent.dns.wire import (
    AA,
    MAX_POINTER,
    QUESTION_OWNER,
    RA,
    SOA,
    SRV,
    TC,
    Question,
    Record,
    as_spelt,
    encode,
    type_of,
)

__all__ = ["Plan", "answer_once", "failure"]

_COUNTS = Struct("!HHHHH")
#: The largest UDP payload over IPv4 is 65,507 bytes.
_MAX_UDP: Final = 65507
_MAX_TCP: Final = 65535
#: Row D27.
_MAX_TCP_ANSWERS: Final = 4096
_MAX_TCP_SRV: Final = 1024
_TO_QUESTION: Final = b"\xc0\x0c"
#: From the owner of an SRV record's data to its target: type, class, TTL, length, priority, weight, port.
_TARGET_AT: Final = 16


def failure(question: Question, rcode: int, settings: DnsSettings) -> bytes:
    """An answer without records and without authority: SERVFAIL, or REFUSED for names outside (rows D21, D31)."""
    flags = question.reply_flags | rcode | (RA if settings.recursors else 0)
    return _COUNTS.pack(flags, 1, 0, 0, 1 if question.edns else 0) + question.raw + question.edns


def answer_once(
    question: Question,
    sections: Sections,
    zone: Zone,
    settings: DnsSettings,
    tcp: bool,
    rng: random.Random,
    soa: Record,
) -> bytes:
    """One answer that is not kept: what a `Plan` would render, with a short way for the two commonest kinds."""
    if not settings.disable_compression:
        answers = sections.answers
        if sections.simple and len(answers) == 1:
            message = _single(question, sections, settings)
            if len(message) + 2 <= question.udp_size or tcp:
                return message
        elif sections.negative and not answers and not sections.additional:
            short = _negative(question, _flags(question, sections, settings), zone.wire, soa[1])
            if short is not None:
                return short
    return Plan(question, sections, zone, settings, tcp).render(rng, soa)


def _flags(question: Question, sections: Sections, settings: DnsSettings) -> int:
    flags = question.reply_flags | sections.rcode | AA
    return flags | RA if settings.recursors else flags


def _single(question: Question, sections: Sections, settings: DnsSettings) -> bytes:
    """A simple answer with all that goes beside it, compressed, of whatever size."""
    tail = sections.answers[0][1]
    raw, edns = question.raw, question.edns
    count = 1 if edns else 0
    beside = b""
    if sections.extras:
        to_target = (0xC000 | 14 + len(raw) + _TARGET_AT).to_bytes(2, "big")
        records = sections.extras[0]
        if sections.texts:
            records += sections.texts[0]
        count += len(records)
        beside = b"".join([to_target + rr[1] for rr in records])
    counts = _COUNTS.pack(_flags(question, sections, settings), 1, 1, 0, count)
    return counts + raw + _TO_QUESTION + tail + beside + edns


def _negative(question: Question, flags: int, zone: bytes, tail: bytes) -> bytes | None:
    """A name that is not there, or has nothing of that type: one SOA whose names all end in the question's.

    `tail` is what the SOA has behind its owner. None where its names do not end so.
    """
    name = question.name
    at = len(name) - len(zone)
    if at < 0 or as_spelt(name, zone) is zone:
        return None
    to_zone = (0xC00C + at).to_bytes(2, "big")
    counts = _COUNTS.pack(flags, 1, 0, 1, 1 if question.edns else 0)
    # ns.<zone> and hostmaster.<zone> are 5 and 13 bytes with their pointers; the numbers 20.
    names = b"\x00\x26\x02ns" + to_zone + b"\x0ahostmaster" + to_zone
    return counts + question.raw + to_zone + tail[:8] + names + tail[10:] + question.edns


class Plan:
    """How one question is answered until something it depends on changes.

    `answers` is how many are sent. `constant`: every rendering is the same; `timed`: it holds the SOA, whose serial is
    the second it was sent in.
    """

    __slots__ = ("_flags", "_question", "_room", "_sections", "_settings", "_sizes", "_texts", "_zone", "answers")

    def __init__(self, question: Question, sections: Sections, zone: Zone, settings: DnsSettings, tcp: bool) -> None:
        self._question = question
        self._sections = sections
        self._settings = settings
        self._zone = zone.wire
        self._sizes: Sizes | None = None
        self._texts = False
        flags = _flags(question, sections, settings)
        if tcp:
            room = _MAX_TCP
        else:
            room = question.udp_size
            if room > _MAX_UDP:
                room = _MAX_UDP
        count = len(sections.answers)
        if count:
            if sections.capped and 0 < settings.a_record_limit < count:
                count = settings.a_record_limit
            fitting = self._fit(count, room, tcp)
            if fitting < count:
                count = fitting
                if not tcp or settings.enable_truncate:
                    flags |= TC
        self._room = room
        self._flags = flags
        self.answers = count

    @property
    def constant(self) -> bool:
        """Whether every rendering is the same."""
        return len(self._sections.answers) <= 1 or self._sections.ordered

    @property
    def timed(self) -> bool:
        """Whether it holds an SOA."""
        return self._sections.negative or self._question.type == SOA

    def _fit(self, count: int, room: int, tcp: bool) -> int:
        """How many of `count` answers are sent in a message of at most `room` bytes."""
        question, sections, settings = self._question, self._sections, self._settings
        compressed = not settings.disable_compression
        limit = count
        if tcp:
            limit = min(limit, _MAX_TCP_SRV if question.type == SRV else _MAX_TCP_ANSWERS)
        elif room == 512:
            most = min(settings.udp_answer_limit or MAX_UDP_ANSWERS, MAX_UDP_ANSWERS)
            if limit > most:
                limit = most
                compressed = False  # row D30
        room -= 12 + len(question.raw) + len(question.edns)
        if compressed:
            own = 2
            sizes = sections.compressed_sizes or _measure(sections, True)
        else:
            own = len(question.name)
            sizes = sections.plain_sizes or _measure(sections, False)
        if (sizes.largest + own) * limit > room:
            if sizes.smallest == sizes.largest or sections.ordered:
                return _fitting(sizes.each, limit, own, room)
            # Which answers fit depends on which are drawn: `render` cuts each draw. This is the most there can be.
            self._sizes = sizes
            return _fitting(sorted(sizes.each), limit, own, room)
        if sizes.falling:
            # Metadata is the first to go: it is sent when even the longest draw has room for it.
            self._texts = sum(sizes.falling[:limit]) + own * limit <= room
        return limit

    # --- rendering ---------------------------------------------------------------------------------------------

    def render(self, rng: random.Random, soa: Record) -> bytes:
        """The message behind the id. `soa` is the zone's SOA of this second (`records.zone_record`)."""
        sections = self._sections
        total = len(sections.answers)
        if total <= 1 or sections.ordered:
            if not sections.simple:
                return self._render_fixed(soa)
            return self._render_simple(range(self.answers), self._flags)
        order = sections.order
        if order is None:
            order = sections.order = Order(total, sections.weights)
        chosen = order.draw(rng, self.answers)
        flags = self._flags
        sizes = self._sizes
        if sizes is not None:
            own = len(self._question.name) if sizes is sections.plain_sizes else 2
            room = self._room - 12 - len(self._question.raw) - len(self._question.edns)
            kept = _fitting([sizes.each[position] for position in chosen], len(chosen), own, room)
            if kept < len(chosen):
                flags |= TC
                del chosen[kept:]
        if sections.simple:
            return self._render_simple(chosen, flags)
        answers = [sections.answers[position] for position in chosen]
        additional = [rr for position in chosen for rr in self._beside(position)]
        compress = not self._settings.disable_compression
        return encode(flags, self._question, self._zone, answers, (), additional, compress)

    def _beside(self, position: int) -> tuple[Record, ...]:
        """What goes into Additional with an answer."""
        sections = self._sections
        if not sections.extras:
            return ()
        if self._texts:
            return sections.extras[position] + sections.texts[position]
        return sections.extras[position]

    def _render_simple(self, chosen: list[int] | range, flags: int) -> bytes:
        """Answers without inner pointers, and records of their targets: nearly all there is, and the hottest."""
        sections, question = self._sections, self._question
        compress = not self._settings.disable_compression
        own = _TO_QUESTION if compress else question.name
        answers = sections.answers
        if not sections.extras:
            counts = _COUNTS.pack(flags, 1, len(chosen), 0, 1 if question.edns else 0)
            return counts + question.raw + b"".join([own + answers[at][1] for at in chosen]) + question.edns
        offset = 12 + len(question.raw) + len(own)
        parts = []
        beside = []
        count = 1 if question.edns else 0
        for position in chosen:
            tail = answers[position][1]
            parts.append(own)
            parts.append(tail)
            target_at = offset + _TARGET_AT
            offset += len(own) + len(tail)
            records = sections.extras[position]
            if self._texts:
                records += sections.texts[position]
            for rr in records:
                beside.append(
                    (0xC000 | target_at).to_bytes(2, "big") if compress and target_at <= MAX_POINTER else rr[0]
                )
                beside.append(rr[1])
                count += 1
        counts = _COUNTS.pack(flags, 1, len(chosen), 0, count)
        return counts + question.raw + b"".join(parts) + b"".join(beside) + question.edns

    def _render_fixed(self, soa: Record) -> bytes:
        """Answers in their own order, and those with an SOA."""
        sections, question, zone = self._sections, self._question, self._zone
        compress = not self._settings.disable_compression
        answers = sections.answers
        authority = sections.authority
        additional = sections.additional
        if sections.negative:
            if compress and not additional:
                short = _negative(question, self._flags, zone, soa[1])
                if short is not None:
                    return short
            authority = (soa, *authority)
        elif question.type == SOA:
            answers = [_with_serial(rr, soa[1][10:14]) for rr in answers]
        if self.answers < len(answers):
            answers = answers[: self.answers]
        if sections.extras:
            additional = [rr for position in range(len(answers)) for rr in self._beside(position)]
        elif additional and not self._leaves_room(compress):
            additional = ()
        return encode(self._flags, question, zone, answers, authority, additional, compress)

    def _leaves_room(self, compress: bool) -> bool:
        """Whether the fixed additional records fit beside all the others."""
        sections, question = self._sections, self._question
        name = len(question.name)
        size = 12 + len(question.raw) + len(question.edns)
        for section in (sections.answers, sections.authority, sections.additional):
            for rr in section:
                owner = 2 if compress and rr[0] is QUESTION_OWNER else max(len(rr[0]), name)
                size += owner + len(rr[1])
        return size <= self._room


def _with_serial(rr: Record, serial: bytes) -> Record:
    if type_of(rr) != SOA:
        return rr
    return (rr[0], rr[1][:10] + serial + rr[1][14:], rr[2], rr[3])


def _measure(sections: Sections, compressed: bool) -> Sizes:
    """The sizes of all answers, kept with them."""
    answers = sections.answers
    each = [len(rr[0]) + len(rr[1]) for rr in answers]
    texts: list[int] = []
    if sections.extras:
        # A record beside an answer mostly belongs to its target, which has just been written.
        pointers = compressed and sections.simple
        for position, records in enumerate(sections.extras):
            for rr in records:
                each[position] += (2 if pointers else len(rr[0])) + len(rr[1])
        if sections.texts:
            texts = [sum((2 if pointers else len(rr[0])) + len(rr[1]) for rr in records) for records in sections.texts]
    sizes = Sizes(each, texts)
    if compressed:
        sections.compressed_sizes = sizes
    else:
        sections.plain_sizes = sizes
    return sizes


def _fitting(sizes: list[int], limit: int, own: int, room: int) -> int:
    """How many of the first `limit` answers fit into `room` bytes together, each with an owner of `own` bytes."""
    used = 0
    for count in range(limit):
        used += sizes[count] + own
        if used > room:
            return count
    return limit
