from __future__ import annotations

import pytest

from meshagent.agent.gossip.timing import push_pull_interval_s, remaining_suspicion_s, suspicion_timeout_s


@pytest.mark.parametrize(
    ("n", "seconds"), [(1, 4), (5, 4), (10, 4), (50, 4 * 1.698), (100, 8), (500, 4 * 2.698), (1000, 12), (5000, 14.792)]
)
def test_suspicion_grows_with_the_logarithm(n: int, seconds: float) -> None:
    assert suspicion_timeout_s(4, n, 1.0) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("confirmations", "k", "elapsed", "left"),
    [
        (0, 3, 0, 30),
        (1, 3, 2, 14),
        (2, 3, 3, 4.81),
        (3, 3, 4, -2),
        (4, 3, 5, -3),
        (0, 0, 0, 2),
    ],
)
def test_confirmations_shorten_it_by_their_logarithm(confirmations: int, k: int, elapsed: float, left: float) -> None:
    assert remaining_suspicion_s(confirmations, k, elapsed, 2, 30) == pytest.approx(left, abs=0.0011)


@pytest.mark.parametrize(("n", "times"), [(0, 1), (32, 1), (33, 2), (64, 2), (65, 3), (128, 3), (1000, 6), (5000, 9)])
def test_full_exchanges_become_rarer_in_large_pools(n: int, times: int) -> None:
    assert push_pull_interval_s(30, n) == 30 * times
