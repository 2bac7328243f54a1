"""The opaque configuration of an upstream as values (surface rows M4, M21, M75)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.connect.resilience import ActiveCheck, Ejection, Limits, Resilience, resilience_of


def test_nothing_said_is_the_default() -> None:
    assert resilience_of({}) == Resilience()
    assert resilience_of({"limits": None, "passive_health_check": "x"}) == Resilience()


def test_words_of_a_registration() -> None:
    found = resilience_of({
        "limits": {"max_connections": 0, "max_pending_requests": 5, "max_concurrent_requests": 7},
        "passive_health_check": {"interval": "3s", "max_failures": 2, "enforcing_consecutive_5xx": 50,
                                 "max_ejection_percent": 100, "base_ejection_time": 1_500_000_000},
    })  # fmt: skip
    assert found.limits == Limits(0, 5, 7)
    assert found.ejection == Ejection(
        interval_s=3.0, consecutive_5xx=2, enforcing_consecutive_5xx=50, max_ejection_percent=100, base_ejection_s=1.5
    )


def test_words_of_an_entry() -> None:
    found = resilience_of({
        "limits": {"MaxConnections": 3, "MaxPendingRequests": None},
        "passive_health_check": {"Interval": 2_000_000_000, "MaxFailures": 9, "EnforcingConsecutive5xx": 0},
    })  # fmt: skip
    assert (found.limits.max_connections, found.limits.max_pending_requests) == (3, 1024)
    assert (found.ejection.interval_s, found.ejection.consecutive_5xx) == (2.0, 9)
    assert found.ejection.enforcing_consecutive_5xx == 0


def test_our_words() -> None:
    found = resilience_of({
        "health_check": {"path": "/up", "interval": "1s", "timeout": "500ms", "unhealthy_threshold": 1},
        "load_balancing_policy": "peak_ewma", "slow_start_window": "30s", "panic_threshold_percent": 50,
    })  # fmt: skip
    assert found.check == ActiveCheck("/up", False, "", 1.0, 0.5, 2, 1)
    asked = resilience_of({"health_check": {"grpc": True, "grpc_service": "pkg.Svc", "interval": "1s"}}).check
    assert asked == ActiveCheck("", True, "pkg.Svc", 1.0)
    assert resilience_of({"health_check": {"grpc": 1}}).check == ActiveCheck()
    assert (found.policy, found.slow_start_s, found.panic_percent) == ("peak_ewma", 30.0, 50.0)
    assert resilience_of({"health_check": {}}).check == ActiveCheck()


@pytest.mark.parametrize("wrong", [-1, True, "x", 2**40, [], None])
def test_what_cannot_be_read_is_left_out(wrong: Any) -> None:
    assert resilience_of({"limits": {"max_connections": wrong}}) == Resilience()
    assert resilience_of({"passive_health_check": {"interval": wrong if wrong != 2**40 else "0s"}}) == Resilience()


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["limits", "passive_health_check", "interval", "max_failures", "health_check", "path"]),
            inner,
        )
    ),
)


@given(st.dictionaries(st.sampled_from(["limits", "passive_health_check", "health_check", "slow_start_window"]), json))
def test_any_configuration_is_read(config: dict[str, Any]) -> None:
    found = resilience_of(config)
    assert found.ejection.interval_s > 0
    assert 0 <= found.ejection.max_ejection_percent <= 100
