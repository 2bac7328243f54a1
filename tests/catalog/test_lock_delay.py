"""The lock-delay (surface row E7)."""

from meshagent.catalog.lock_delay import LockDelays

S = 1_000_000_000


def test_a_freed_key_is_blocked_for_its_delay_and_no_longer():
    delays = LockDelays()
    delays.start({"k": 15 * S}, now=100.0)
    assert delays.blocks("k", 100.0)
    assert delays.blocks("k", 114.9)
    assert not delays.blocks("other", 100.0)
    assert not delays.blocks("k", 115.0)


def test_a_longer_delay_that_runs_stays():
    delays = LockDelays()
    delays.start({"k": 60 * S}, now=0.0)
    delays.start({"k": 1 * S}, now=10.0)
    assert delays.blocks("k", 59.0)
    delays.start({"k": 60 * S}, now=30.0)
    assert delays.blocks("k", 89.0)


def test_keys_whose_delay_is_over_are_forgotten():
    delays = LockDelays()
    for at in range(10_000):
        delays.start({f"k{at}": S}, now=float(at))
    assert len(delays) < 200
    assert delays.blocks("k9999", 9999.5)
