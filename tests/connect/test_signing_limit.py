"""The signing limit (surface row M66)."""

from __future__ import annotations

import pytest

from meshagent.connect.signing_limit import MAX_WAIT_S, SigningLimit, TooManyRequests


def test_turns_come_at_the_rate_and_what_would_wait_too_long_is_refused() -> None:
    limit = SigningLimit()
    waits = [limit.enter(10.0, 10.0, 0) for _ in range(6)]
    assert waits == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, MAX_WAIT_S])
    with pytest.raises(TooManyRequests):
        limit.enter(10.0, 10.0, 0)
    assert limit.enter(10.2, 10.0, 0) == pytest.approx(0.4)
    assert limit.enter(99.0, 10.0, 0) == 0.0


def test_a_rate_of_nothing_is_no_limit() -> None:
    limit = SigningLimit()
    assert [limit.enter(0.0, 0.0, 0) for _ in range(1000)] == [0.0] * 1000


def test_concurrency_takes_the_place_of_the_rate() -> None:
    limit = SigningLimit()
    assert [limit.enter(0.0, 1.0, 2), limit.enter(0.0, 1.0, 2)] == [0.0, 0.0]
    with pytest.raises(TooManyRequests) as refused:
        limit.enter(0.0, 1.0, 2)
    assert refused.value.http_status == 429
    limit.leave()
    assert limit.enter(0.0, 1.0, 2) == 0.0
