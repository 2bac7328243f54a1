"""Which bucket, and what is kept when limits change."""

from __future__ import annotations

from meshagent.catalog.entries.rate_limits import NO_LIMITS, Rate, RateLimits, RouteRate
from meshagent.connect.proxy.limits.limiter import MAX_IDENTITIES, RateLimiter


def passed(limiter: RateLimiter, path: str, identity: str = "", times: int = 20) -> int:
    return sum(limiter.check(0.0, path, identity) is None for _ in range(times))


def test_without_limits_everything_passes() -> None:
    limiter = RateLimiter()
    assert not limiter.active
    assert passed(limiter, "/") == 20
    assert limiter.may_connect(0.0)


def test_a_route_counts_for_itself() -> None:
    rules = (
        RouteRate(Rate(1, 2), exact="/a"),
        RouteRate(Rate(1, 3), prefix="/b"),
        RouteRate(Rate(1, 4), regex="/c[0-9]+"),
    )
    limiter = RateLimiter(RateLimits(Rate(1, 5), rules))
    assert [passed(limiter, path) for path in ("/a", "/bb", "/c12", "/c", "/ab")] == [2, 3, 4, 5, 0]
    verdict = limiter.check(0.0, "/a", "")
    assert verdict is not None
    assert (verdict.what, verdict.limit, verdict.remaining, verdict.reset_s) == ("route", 2, 0, 1)


def test_callers_have_buckets_of_their_own() -> None:
    limiter = RateLimiter(RateLimits(identity=Rate(1, 3)))
    assert [passed(limiter, "/", who) for who in ("web", "shop", "web", "")] == [3, 3, 0, 20]


def test_who_is_over_his_own_rate_takes_nothing_of_what_all_share() -> None:
    limiter = RateLimiter(RateLimits(Rate(1, 6), identity=Rate(1, 3)))
    assert [passed(limiter, "/", who) for who in ("web", "shop")] == [3, 3]


def test_many_callers_are_bounded() -> None:
    limiter = RateLimiter(RateLimits(identity=Rate(1, 1)))
    for at in range(MAX_IDENTITIES + 10):
        limiter.check(0.0, "/", f"s{at}")
    assert len(limiter._identities) == MAX_IDENTITIES


def test_connections() -> None:
    limiter = RateLimiter(RateLimits(connections=Rate(1, 2)))
    assert not limiter.active, "requests are not looked at"
    assert [limiter.may_connect(0.0) for _ in range(3)] == [True, True, False]


def test_other_limits_do_not_fill_the_buckets() -> None:
    rule = RouteRate(Rate(1, 2), exact="/a")
    limiter = RateLimiter(RateLimits(Rate(1, 5), (rule,)))
    passed(limiter, "/a")
    passed(limiter, "/")
    limiter.told(RateLimits(Rate(1, 6), (rule, RouteRate(Rate(1, 9), exact="/x"))), 0.0)
    assert [passed(limiter, path) for path in ("/a", "/", "/x")] == [0, 0, 9]
    limiter.told(NO_LIMITS, 0.0)
    assert passed(limiter, "/a") == 20
