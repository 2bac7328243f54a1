from __future__ import annotations

from meshagent.agent.gossip.awareness import Awareness


def test_the_score_stays_within_its_bounds() -> None:
    health = Awareness(8)
    health.apply(-1)
    assert (health.score, health.scale(0.5)) == (0, 0.5)
    health.apply(3)
    assert (health.score, health.scale(0.5)) == (3, 2.0)
    health.apply(10)
    assert (health.score, health.scale(1)) == (7, 8)
