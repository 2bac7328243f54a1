from __future__ import annotations

from meshagent.dns import wire
from meshagent.dns.sections import Sections, Sizes, nothing_here, unknown_name

TOPICS = (("service-health", "web"),)


def test_negative_answers_carry_what_could_change_them() -> None:
    # D21
    missing, empty = unknown_name(TOPICS), nothing_here(TOPICS)
    assert (missing.rcode, missing.negative, missing.topics) == (wire.NXDOMAIN, True, TOPICS)
    assert (empty.rcode, empty.negative, empty.topics) == (wire.NOERROR, True, TOPICS)


def test_setting_one_answers_field_leaves_the_others_alone() -> None:
    first, second = Sections(), Sections()
    first.rcode = wire.NXDOMAIN
    first.capped = True
    assert (second.rcode, second.capped) == (wire.NOERROR, False)


def test_sizes_know_their_extremes() -> None:
    sizes = Sizes([16, 28], [4, 1])
    assert (sizes.smallest, sizes.largest, sizes.falling) == (16, 28, [29, 20])
    assert Sizes([16], []).falling == []
