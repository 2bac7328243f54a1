"""Leader duties (surface row C13)."""

from meshagent.agent.leader import REAP_STEP_S, TOMBSTONE_TTL_S, TombstoneReaper
from meshagent.catalog.commands import ReapTombstones


def test_tombstones_are_reaped_when_they_are_old_and_not_before():
    reaper = TombstoneReaper()
    assert reaper.step(0.0, 10) is None
    assert reaper.step(REAP_STEP_S, 20) is None
    assert reaper.step(TOMBSTONE_TTL_S - 1, 30) is None
    assert reaper.step(TOMBSTONE_TTL_S, 30) == ReapTombstones(10)
    assert reaper.step(TOMBSTONE_TTL_S + REAP_STEP_S, 30) == ReapTombstones(20)
    assert reaper.step(TOMBSTONE_TTL_S + REAP_STEP_S + 1, 30) is None


def test_an_idle_store_asks_for_nothing_again_and_again():
    reaper = TombstoneReaper()
    asked = [reaper.step(n * REAP_STEP_S, 5) for n in range(100)]
    assert asked.count(ReapTombstones(5)) <= 100 * REAP_STEP_S / TOMBSTONE_TTL_S + 1
