"""The records that answer a question, before order, size and spelling: what builders return.

Source: none, this is our intermediate form. It holds no spelling of the question (owners are `QUESTION_OWNER`,
`ZONE_OWNER` or `FOLDED_OWNER`), so that one value serves every client and every spelling of a name until one of its
topics fires.

What may change here: fields may be added with a default that means "as before".
"""

from __future__ import annotations

from collections.abc import Sequence

from meshagent.catalog.watch import Topic
from meshagent.dns.order import Order
from meshagent.dns.wire import NOERROR, NXDOMAIN, Record

__all__ = ["Sections", "Sizes", "nothing_here", "unknown_name"]

Groups = Sequence[tuple[Record, ...]]


class Sizes:
    """What each answer costs in bytes, with its extras but without its owner.

    `falling` holds the sizes with metadata, largest first; empty when there is no metadata.
    """

    __slots__ = ("each", "falling", "largest", "smallest")

    def __init__(self, each: list[int], texts: list[int]) -> None:
        self.each = each
        self.falling = sorted(map(int.__add__, each, texts), reverse=True) if texts else []
        self.largest = max(each)
        self.smallest = min(each)


class Sections:
    """Answer, authority and additional records of one name and type.

    `extras` and `texts` run beside `answers` (or are empty): the addresses of an SRV target, and the metadata of its
    node, which go into Additional with that answer and vanish with it. `simple` says that all answers belong to the
    question's name and hold nothing to compress, and that extras and texts belong to their answer's target: such
    answers are put together without looking at names. `weights` (None: all equal) steer the order. `ordered` answers
    keep theirs (a CNAME chain). `capped` answers count against `a_record_limit`. `negative` adds the zone's SOA to
    Authority. `wants` are host names outside our domains that a recursor should resolve.
    """

    # Class attributes stand for the defaults: most answers set two or three of them.
    rcode: int = NOERROR
    extras: Groups = ()
    texts: Groups = ()
    simple: bool = False
    weights: Sequence[int] | None = None
    ordered: bool = False
    capped: bool = False
    authority: Sequence[Record] = ()
    additional: Sequence[Record] = ()
    negative: bool = False
    wants: tuple[str, ...] = ()
    # What `answer.py` works out once for all the plans made of these records.
    order: Order | None = None
    compressed_sizes: Sizes | None = None
    plain_sizes: Sizes | None = None

    def __init__(self, topics: tuple[Topic, ...] = (), answers: Sequence[Record] = ()) -> None:
        self.topics = topics
        self.answers = answers


def unknown_name(topics: tuple[Topic, ...] = ()) -> Sections:
    """NXDOMAIN with the SOA (row D21)."""
    sections = Sections(topics)
    sections.rcode = NXDOMAIN
    sections.negative = True
    return sections


def nothing_here(topics: tuple[Topic, ...] = ()) -> Sections:
    """The name exists, without records of that type: NOERROR with the SOA."""
    sections = Sections(topics)
    sections.negative = True
    return sections
