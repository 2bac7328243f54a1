from __future__ import annotations

from meshagent.agent.gossip.drops import Drop, Dropped, reason_of
from meshagent.errors import RemoteProtocolError


def test_a_codecs_error_counts_as_malformed() -> None:
    assert reason_of(RemoteProtocolError("x")) is Drop.MALFORMED
    assert reason_of(Dropped(Drop.LABEL, "x")) is Drop.LABEL


def test_words_are_good_labels() -> None:
    assert all(drop.value.isidentifier() and drop.value.islower() for drop in Drop)
