"""Rate limits in Envoy's words, against the built-in proxy's buckets."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from meshagent.catalog.entries.rate_limits import NO_LIMITS, Rate, RateLimits, RouteRate
from meshagent.connect.envoy import rate_limits, wire


def test_without_limits_there_is_no_filter() -> None:
    assert rate_limits.http(NO_LIMITS) == ()
    assert rate_limits.connections(NO_LIMITS) is None
    assert rate_limits.http(RateLimits(identity=Rate(1, 1)), told=False) == ()


@given(st.floats(0.001, 1e9), st.integers(1, 10**9))
def test_a_bucket_fills_at_its_rate(per_second: float, burst: int) -> None:
    (found,) = rate_limits.http(RateLimits(Rate(per_second, burst)))
    assert wire.encode(found["typed_config"])
    bucket = found["typed_config"]["token_bucket"]
    interval = float(bucket["fill_interval"].removesuffix("s"))
    assert interval >= 1.0  # Envoy's shortest is 50 ms
    assert bucket["tokens_per_fill"] / interval == pytest.approx(per_second, rel=1e-5)
    assert bucket["max_tokens"] == burst


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (RouteRate(Rate(1, 1), exact="/a"), {"path": "/a"}),
        (RouteRate(Rate(1, 1), prefix="/a"), {"prefix": "/a"}),
        (RouteRate(Rate(1, 1), regex="/a"), {"safe_regex": {"regex": "/a"}}),
    ],
)
def test_paths(rule: RouteRate, expected: object) -> None:
    assert rate_limits.route_match(rule) == expected


def test_callers_have_a_bucket_each_and_come_first() -> None:
    callers, instance = rate_limits.http(RateLimits(Rate(1, 1), identity=Rate(2, 4)))
    config = callers["typed_config"]
    assert config["descriptors"][0]["token_bucket"]["max_tokens"] == 4
    assert config["descriptors"][0]["entries"] == [{"key": "caller"}]
    assert "token_bucket" not in config
    assert wire.encode(config)
    rule = RouteRate(Rate(1, 2), exact="/a")
    assert list(rate_limits.of_route(rule)) == [instance["name"]] != [callers["name"]]


def test_connections() -> None:
    found = rate_limits.connections(RateLimits(connections=Rate(5, 10)))
    assert found is not None
    assert found["typed_config"]["token_bucket"] == {"max_tokens": 10, "tokens_per_fill": 5, "fill_interval": "1s"}
    assert wire.encode(found["typed_config"])
