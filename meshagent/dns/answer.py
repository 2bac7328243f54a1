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
from meshagent.dns.records import soa
from meshagent.dns.sections import Sections
from meshagent.dns.settings import MAX_UDP_ANSWERS, DnsSettings
from meshagent.dns.wire import (
    AA,
    MAX_POINTER,
    QUESTION_OWNER,
    RA,
    SOA,
    SRV,
    TC,
    ZONE_OWNER,
    Question,
    Record,
    as_spelt,
    encode,
)

__all__ = ["Plan", "failure"]

_COUNTS = Struct("!HHHHH")
#: The largest UDP payload over IPv4 is 65,507 bytes.
_MAX_UDP: Final = 65507
_MAX_TCP: Final = 65535
#: Row D27.
_MAX_TCP_ANSWERS: Final = 4096
_MAX_TCP_SRV: Final = 1024
_TO_QUESTION: Final = b"\xc0\x0c"


def failure(question: Question, rcode: int, settings: DnsSettings) -> bytes:
    """An answer without records and without authority: SERVFAIL, or REFUSED for names outside (rows D21, D31)."""
    flags = question.reply_flags | rcode | (RA if settings.recursors else 0)
    return _COUNTS.pack(flags, 1, 0, 0, 1 if question.edns else 0) + question.raw + question.edns


class Plan:
    """How one question is answered until something it depends on changes.

    `constant`: every rendering is the same; `timed`: it holds the SOA, whose serial is the second it was sent in.
    """

    __slots__ = (
        "_compress",
        "_costs",
        "_count",
        "_flags",
        "_order",
        "_question",
        "_room",
        "_sections",
        "_settings",
        "_simple",
        "_texts",
        "_zone",
        "answers",
        "constant",
        "timed",
    )

    def __init__(self, question: Question, sections: Sections, zone: Zone, settings: DnsSettings, tcp: bool) -> None:
        self._question = question
        self._sections = sections
        self._settings = settings
        self._zone = zone.wire
        self._compress = not settings.disable_compression
        self._costs: list[int] | None = None
        self._order: Order | None = None
        self._simple = False
        self._texts = False
        answers = sections.answers
        total = len(answers)
        flags = question.reply_flags | sections.rcode
        if sections.authoritative:
            flags |= AA
        if settings.recursors:
            flags |= RA
        self.timed = sections.negative or question.type == SOA
        count = total
        self._room = 0
        if total:
            if sections.capped and 0 < settings.a_record_limit < total:
                count = settings.a_record_limit
            wanted = count
            count = self._fit(count, tcp)
            if count < wanted and (not tcp or settings.enable_truncate):
                flags |= TC
        self._flags = flags
        self._count = self.answers = count
        self.constant = total <= 1 or sections.ordered
        if not self.constant:
            self._order = Order(total, count, sections.weights)

    def _fit(self, count: int, tcp: bool) -> int:
        """How many of `count` answers are sent; sets what `render` needs to know."""
        question, sections, settings = self._question, self._sections, self._settings
        name = question.name
        self._simple = _is_simple(sections)
        judged_compressed = self._compress
        limit = count
        if tcp:
            room = _MAX_TCP
            limit = min(limit, _MAX_TCP_SRV if question.type == SRV else _MAX_TCP_ANSWERS)
        else:
            room = min(question.udp_size, _MAX_UDP)
            if room == 512:
                most = min(settings.udp_answer_limit or MAX_UDP_ANSWERS, MAX_UDP_ANSWERS)
                if limit > most:
                    limit = most
                    judged_compressed = False  # row D30
        room -= 12 + len(question.raw) + len(question.edns)
        own = 2 if judged_compressed else len(name)
        costs = [(len(rr[0]) or own) + 10 + len(rr[2]) + (len(rr[3]) if rr[3] else 0) for rr in sections.answers]
        if sections.extras:
            for position, extras in enumerate(sections.extras):
                if extras:
                    target = sections.answers[position][3]
                    costs[position] += sum(_cost(rr, target, judged_compressed) for rr in extras)
        largest = max(costs)
        if largest * limit > room:
            if min(costs) == largest or sections.ordered:
                limit = _prefix(costs, limit, room)
            else:
                # Which answers fit depends on which are drawn: `render` cuts each draw.
                self._costs = costs
                self._room = room
                limit = min(limit, _prefix(sorted(costs), limit, room))
        elif sections.texts:
            # Metadata is the first to go: it is sent when the longest draw has room for it.
            texts = [sum(_cost(rr, None, False) for rr in of_one) for of_one in sections.texts]
            both = sorted(map(int.__add__, costs, texts), reverse=True)
            self._texts = sum(both[:limit]) <= room
        self._room = room
        return limit

    def render(self, rng: random.Random, serial: int) -> bytes:
        """The message behind the id. `serial` is the unix time in seconds."""
        sections, question = self._sections, self._question
        order = self._order
        flags = self._flags
        if order is None:
            return self._render_all(serial)
        chosen = order.draw(rng)
        costs = self._costs
        if costs is not None:
            kept = _prefix([costs[position] for position in chosen], len(chosen), self._room)
            if kept < len(chosen):
                flags |= TC
                del chosen[kept:]
        tails = sections.tails
        if self._simple:
            if tails is None:
                tails = sections.tails = [_tail(rr) for rr in sections.answers]
            own = _TO_QUESTION if self._compress else question.name
            if not sections.extras:
                head = _COUNTS.pack(flags, 1, len(chosen), 0, 1 if question.edns else 0)
                records = own.join([b"", *[tails[position] for position in chosen]])
                return head + question.raw + records + question.edns
            return self._render_pairs(chosen, tails, own, flags)
        answers = [sections.answers[position] for position in chosen]
        additional: list[Record] = []
        if sections.extras:
            for position in chosen:
                additional += sections.extras[position]
        if self._texts:
            for position in chosen:
                additional += sections.texts[position]
        return encode(flags, question, self._zone, answers, (), additional, self._compress)

    def _render_pairs(self, chosen: list[int], tails: list[bytes], own: bytes, flags: int) -> bytes:
        """SRV answers whose additional records all belong to their target: the hottest answer after plain addresses."""
        sections, question = self._sections, self._question
        compress = self._compress
        offset = 12 + len(question.raw)
        step = len(own)
        answers = []
        additional: list[bytes] = []
        count = 0
        for position in chosen:
            tail = tails[position]
            answers.append(own)
            answers.append(tail)
            at = offset + step + 16  # behind type, class, TTL, length, priority, weight and port
            offset += step + len(tail)
            records = sections.extras[position]
            if self._texts:
                records += sections.texts[position]
            for owner, head, data, _, _ in records:
                if compress and at <= MAX_POINTER:
                    owner = (0xC000 | at).to_bytes(2, "big")
                additional += (owner, head, len(data).to_bytes(2, "big"), data)
                count += 1
        counts = _COUNTS.pack(flags, 1, len(chosen), 0, count + (1 if question.edns else 0))
        return b"".join([counts, question.raw, *answers, *additional, question.edns])

    def _render_all(self, serial: int) -> bytes:
        sections, question, zone = self._sections, self._question, self._zone
        answers = sections.answers
        if self.timed:
            if sections.negative:
                if self._compress and not answers and not sections.additional:
                    return self._render_negative(serial)
                authority = (soa(self._settings, ZONE_OWNER, b"", serial), *sections.authority)
                return encode(self._flags, question, zone, answers, authority, sections.additional, self._compress)
            answers = [self._with_serial(rr, serial) for rr in answers]
        additional = sections.additional
        if self._count < len(answers):
            answers = answers[: self._count]
        if sections.extras and answers:
            additional = [rr for extras in sections.extras[: len(answers)] for rr in extras]
            if self._texts:
                additional += [rr for texts in sections.texts[: len(answers)] for rr in texts]
        elif additional and self._room and not self._leaves_room(answers):
            additional = ()
        return encode(self._flags, question, zone, answers, sections.authority, additional, self._compress)

    def _leaves_room(self, answers: object) -> bool:
        """Whether the fixed additional records fit beside all the answers."""
        sections = self._sections
        name = len(self._question.name)
        size = sum((len(rr[0]) or name) + 10 + len(rr[2]) + len(rr[3] or b"") for rr in sections.answers)
        size += sum((len(rr[0]) or name) + 10 + len(rr[2]) + len(rr[3] or b"") for rr in sections.authority)
        # Owners shrink to pointers when compressed; metadata has the question's name.
        for rr in sections.additional:
            owner = 2 if self._compress and rr[0] is QUESTION_OWNER else len(rr[0]) or name
            size += owner + 10 + len(rr[2]) + len(rr[3] or b"")
        return size <= self._room

    def _render_negative(self, serial: int) -> bytes:
        """A name that is not there, or has nothing of that type: one SOA, all of whose names end in the question's."""
        question = self._question
        name = question.name
        record = soa(self._settings, ZONE_OWNER, b"", serial)
        at = 12 + len(name) - len(self._zone)
        if at < 12 or as_spelt(name, self._zone) is self._zone:
            return encode(self._flags, question, self._zone, (), (record,), (), True)
        to_zone = (0xC000 | at).to_bytes(2, "big")
        counts = _COUNTS.pack(self._flags, 1, 0, 1, 1 if question.edns else 0)
        # ns.<zone> and hostmaster.<zone>: 5 and 13 bytes with their pointers, then five numbers.
        return b"".join(
            (
                counts,
                question.raw,
                to_zone,
                record[1],
                b"\x00\x26\x02ns",
                to_zone,
                b"\x0ahostmaster",
                to_zone,
                record[2],
                question.edns,
            )
        )

    @staticmethod
    def _with_serial(rr: Record, serial: int) -> Record:
        if rr[1][:2] != b"\x00\x06":
            return rr
        return (rr[0], rr[1], (serial & 0xFFFFFFFF).to_bytes(4, "big") + rr[2][4:], rr[3], rr[4])


def _prefix(costs: list[int], limit: int, room: int) -> int:
    """How many of the first `limit` costs fit into `room` together."""
    used = 0
    for count in range(limit):
        used += costs[count]
        if used > room:
            return count
    return limit


def _cost(rr: Record, target: bytes | None, compressed: bool) -> int:
    """Bytes of a record, at most; exact where its owner is the `target` just written."""
    owner = 2 if compressed and rr[0] == target else len(rr[0])
    return owner + 10 + len(rr[2]) + (len(rr[3]) if rr[3] else 0)


def _tail(rr: Record) -> bytes:
    """A record behind its owner, nothing compressed."""
    data = rr[2] if rr[3] is None else rr[2] + rr[3]
    return rr[1] + len(data).to_bytes(2, "big") + data


def _is_simple(sections: Sections) -> bool:
    """Whether the answers are bytes without inner pointers, and their extras all owned by the answer's target."""
    known = sections.simple
    if known is None:
        known = all(rr[0] is QUESTION_OWNER and (rr[3] is None or not rr[4]) for rr in sections.answers) and not (
            sections.authority or sections.additional
        )
        if known:
            for beside in (sections.extras, sections.texts):
                for answer, records in zip(sections.answers, beside, strict=False):
                    if any(rr[0] != answer[3] or rr[3] is not None for rr in records):
                        known = False
        sections.simple = known
    return known
