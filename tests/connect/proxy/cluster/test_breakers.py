"""Room, and what is refused."""

from __future__ import annotations

import pytest

from meshagent.connect.proxy.cluster.breakers import Breakers
from meshagent.connect.resilience import Limits

LIMITS = Limits(max_connections=2, max_pending_requests=2, max_concurrent_requests=2)


@pytest.mark.parametrize("kind", ["connection", "request", "pending"])
def test_so_many_at_once(kind: str) -> None:
    breakers = Breakers(LIMITS)
    take, give = getattr(breakers, f"try_{kind}"), getattr(breakers, f"end_{kind}")
    assert [take(), take(), take(), take()] == [True, True, False, False]
    give()
    assert take()
    assert getattr(breakers, f"{kind}_overflow") == 2


def test_none_is_no_limit_and_zero_is_none_at_all() -> None:
    assert all(Breakers(Limits()).try_connection() for _ in range(10_000))
    assert not Breakers(Limits(max_connections=0)).try_connection()


def test_other_limits_keep_what_is_open() -> None:
    breakers = Breakers(LIMITS)
    breakers.try_request()
    breakers.told(Limits(max_concurrent_requests=1))
    assert not breakers.try_request()
    breakers.end_request()
    assert breakers.try_request()


def test_the_budget_of_retries_follows_what_is_open() -> None:
    breakers = Breakers(Limits(max_concurrent_requests=None))
    assert [breakers.try_retry() for _ in range(4)] == [True, True, True, False]
    for _ in range(50):
        breakers.try_request()
    assert sum(breakers.try_retry() for _ in range(20)) == 7, "a fifth of fifty, three of them before"
    breakers.end_retry()
    assert breakers.try_retry()
    assert breakers.retry_overflow == 14
