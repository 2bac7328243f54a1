"""Rate limits as values, and what is wrong with others."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.catalog.entries.rate_limits import NO_LIMITS, Rate, RateLimits, RouteRate, limits_of, read_limits


def test_consuls_words() -> None:
    found = read_limits({
        "InstanceLevel": {"RequestsPerSecond": 5, "RequestsMaxBurst": 9, "Routes": [
            {"PathExact": "/a", "RequestsPerSecond": 1}, {"PathPrefix": "/b", "RequestsPerSecond": 0.5},
            {"PathRegex": "/c.*", "RequestsPerSecond": 3, "RequestsMaxBurst": 4},
        ]}
    })  # fmt: skip
    assert found == RateLimits(
        Rate(5, 9),
        (RouteRate(Rate(1, 1), exact="/a"), RouteRate(Rate(0.5, 1), prefix="/b"), RouteRate(Rate(3, 4), regex="/c.*")),
    )


def test_our_words_and_blocks_of_hcl() -> None:
    given = {
        "requests_per_second": 100, "per_identity": [{"requests_per_second": 10, "requests_max_burst": 20}],
        "connections_per_second": 7,
    }  # fmt: skip
    assert read_limits(given) == RateLimits(Rate(100, 100), (), Rate(10, 20), Rate(7, 7))
    assert read_limits({"instance_level": {"requests_per_second": 1}}) == RateLimits(Rate(1, 1))
    assert limits_of({"rate_limits": given}) == read_limits(given)
    assert limits_of({"rate_limits": {"requests_per_second": "x"}}) == limits_of({}) == NO_LIMITS


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"InstanceLevel": 5}, "InstanceLevel must be an object"),
        ({"InstanceLevel": {"RequestsPerSecond": 0}}, "InstanceLevel.RequestsPerSecond must be above 0"),
        ({"InstanceLevel": {"RequestsMaxBurst": 3}}, "InstanceLevel.RequestsPerSecond is required"),
        ({"InstanceLevel": {"RequestsPerSecond": 3, "RequestsMaxBurst": 0}}, "RequestsMaxBurst must be 1 or more"),
        ({"InstanceLevel": {"Routes": 3}}, "InstanceLevel.Routes must be a list"),
        ({"InstanceLevel": {"Routes": [{"PathExact": "/a"}]}}, r"Routes\[0\].RequestsPerSecond is required"),
        ({"Routes": [{"RequestsPerSecond": 1}]}, r"Routes\[0\] must have one of PathExact"),
        ({"Routes": [{"RequestsPerSecond": 1, "PathExact": "a"}]}, r"Routes\[0\].PathExact must begin with /"),
        ({"Routes": [{"RequestsPerSecond": 1, "PathRegex": "("}]}, r"Routes\[0\].PathRegex"),
        ({"PerIdentity": {}}, "PerIdentity.RequestsPerSecond is required"),
    ],
)
def test_what_is_wrong_is_named(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read_limits(given)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "InstanceLevel",
                    "Routes",
                    "RequestsPerSecond",
                    "RequestsMaxBurst",
                    "PathRegex",
                    "PathExact",
                    "PerIdentity",
                ]
            ),
            inner,
        )
    ),
)


@given(st.dictionaries(st.sampled_from(["InstanceLevel", "Routes", "RequestsPerSecond", "PerIdentity"]), values))
def test_anything_is_read_or_refused(given: dict[str, Any]) -> None:
    try:
        found = read_limits(given)
    except ValueError:
        return
    assert found.instance is None or found.instance.per_second > 0
