from __future__ import annotations

import pytest

from meshagent.agent.gossip.suspicion import Suspicion


def test_every_new_accuser_brings_the_end_nearer() -> None:
    suspicion = Suspicion("a", 3, 2, 30, now=100)
    assert suspicion.deadline == 130
    assert suspicion.confirm("b", 102)
    assert suspicion.deadline == pytest.approx(116, abs=0.001)
    assert not suspicion.confirm("b", 103)
    assert not suspicion.confirm("a", 103)
    assert suspicion.confirm("c", 104)
    assert suspicion.deadline == pytest.approx(107.81, abs=0.001)
    assert suspicion.confirm("d", 105)
    assert suspicion.deadline == 102  # long over
    assert not suspicion.confirm("e", 105)
    assert suspicion.confirmations == 3


def test_where_nobody_can_confirm_it_is_short_at_once() -> None:
    suspicion = Suspicion("a", 0, 2, 30, now=100)
    assert suspicion.deadline == 102
    assert not suspicion.confirm("b", 101)
