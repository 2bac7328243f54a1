"""Our own settings of layer 7, from a destination's `Meta` and an upstream's opaque configuration."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.connect.l7 import _KEYS, Extras, FaultSettings, extras_of


def test_both_places_the_configuration_wins() -> None:
    meta = {"l7_fault_delay": "100ms", "l7_fault_delay_percent": "10", "l7_mirror": "next", "other": "x"}
    config = {"l7": {"fault_delay_percent": 20, "num_retries": 2, "retry_on": "5xx, reset", "per_try_timeout": "1s"}}
    assert extras_of(config, meta) == Extras(
        FaultSettings(delay_s=0.1, delay_percent=20),
        "next",
        num_retries=2,
        retry_on=("5xx", "reset"),
        per_try_timeout_s=1,
    )
    assert extras_of({}, {}) == Extras()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("fault_delay", "soon"),
        ("fault_delay", "-1s"),
        ("fault_abort_status", 99),
        ("fault_abort_status", "inf"),
        ("fault_abort_status", True),
        ("mirror", 5),
        ("mirror_percent", 101),
        ("retry_on", [1]),
        ("num_retries", -1),
    ],
)
def test_what_cannot_be_read_is_left_out(key: str, value: Any) -> None:
    assert extras_of({"l7": {key: value}}, {}) == Extras()


JSON = st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists, max_leaves=3)


@given(st.dictionaries(st.sampled_from([key for key, _, _ in _KEYS]), JSON), JSON)
def test_any_configuration(block: dict[str, Any], other: Any) -> None:
    extras_of({"l7": block}, {})
    extras_of({"l7": other}, {"l7_mirror": str(other)})
