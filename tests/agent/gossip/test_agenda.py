from __future__ import annotations

from meshagent.agent.gossip.agenda import Agenda


def test_timers_fire_in_order_and_once() -> None:
    agenda, fired = Agenda(), []
    agenda.at(2, lambda now: fired.append(("b", now)))
    agenda.at(1, lambda now: fired.append(("a", now)))
    agenda.at(2, lambda now: fired.append(("c", now)))
    assert agenda.next_at() == 1
    agenda.run(1.5)
    assert fired == [("a", 1.5)]
    agenda.run(3)
    agenda.run(3)
    assert fired == [("a", 1.5), ("b", 3), ("c", 3)]
    assert agenda.next_at() is None


def test_a_cancelled_one_is_forgotten() -> None:
    agenda, fired = Agenda(), []
    agenda.at(1, fired.append).cancel()
    agenda.at(2, fired.append)
    assert agenda.next_at() == 2
    agenda.run(5)
    assert fired == [5]


def test_what_fires_may_set_more() -> None:
    agenda, fired = Agenda(), []

    def again(now: float) -> None:
        fired.append(now)
        if len(fired) < 3:
            agenda.at(now, again)

    agenda.at(1, again)
    agenda.run(1)
    assert fired == [1, 1, 1]
