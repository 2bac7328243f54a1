"""The records that answer a question, before order, size and spelling: what builders return.

Source: none, this is our intermediate form. It holds no spelling of the question (owners are `QUESTION_OWNER` or
`ZONE_OWNER`), so that one value serves every client and every spelling of a name until one of its topics fires.

What may change here: fields may be added with a default that means "as before".
"""

from __future__ import annotations

from collections.abc import Sequence

from meshagent.catalog.watch import Topic
from meshagent.dns.wire import NOERROR, NXDOMAIN, Record

__all__ = ["Sections", "nothing_here", "unknown_name"]

NO_EXTRAS: tuple[tuple[Record, ...], ...] = ()


class Sections:
    """Answer, authority and additional records of one name and type.

    `extras` and `texts` run beside `answers` (or are empty): the addresses of an SRV target, and the metadata of its
    node, which go into Additional with that answer and vanish with it. `weights` (None: all equal) steer the order.
    `ordered` answers keep their order (a CNAME chain). `negative` adds the zone's SOA to Authority. `capped` answers
    count against `a_record_limit`. `wants` are host names outside our domains that a recursor should resolve.
    """

    __slots__ = (
        "additional",
        "answers",
        "authoritative",
        "authority",
        "capped",
        "extras",
        "negative",
        "ordered",
        "rcode",
        "simple",
        "tails",
        "texts",
        "topics",
        "wants",
        "weights",
    )

    def __init__(
        self,
        topics: tuple[Topic, ...] = (),
        *,
        rcode: int = NOERROR,
        answers: Sequence[Record] = (),
        extras: Sequence[tuple[Record, ...]] = NO_EXTRAS,
        texts: Sequence[tuple[Record, ...]] = NO_EXTRAS,
        weights: Sequence[int] | None = None,
        authority: Sequence[Record] = (),
        additional: Sequence[Record] = (),
        negative: bool = False,
        ordered: bool = False,
        capped: bool = False,
        authoritative: bool = True,
        wants: tuple[str, ...] = (),
    ) -> None:
        self.topics = topics
        self.rcode = rcode
        self.answers = answers
        self.extras = extras
        self.texts = texts
        self.weights = weights
        self.authority = authority
        self.additional = additional
        self.negative = negative
        self.ordered = ordered
        self.capped = capped
        self.authoritative = authoritative
        self.wants = wants
        # What `answer.py` works out once for all the plans made of these records.
        self.tails: list[bytes] | None = None
        self.simple: bool | None = None


def unknown_name(topics: tuple[Topic, ...] = ()) -> Sections:
    """NXDOMAIN with the SOA (row D21)."""
    return Sections(topics, rcode=NXDOMAIN, negative=True)


def nothing_here(topics: tuple[Topic, ...] = ()) -> Sections:
    """The name exists, without records of that type: NOERROR with the SOA."""
    return Sections(topics, negative=True)
