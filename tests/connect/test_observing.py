"""What a proxy tells, from its merged configuration (surface rows M22, M73)."""

from __future__ import annotations

from typing import Any

import pytest

from meshagent.catalog.model import AccessLogs
from meshagent.connect.observing import Observing, observing_of


def test_nothing_said() -> None:
    assert observing_of({}, None) == observing_of({}, AccessLogs()) == Observing()


def test_everything_said() -> None:
    logs = AccessLogs(enabled=True, type="file", path="/x")
    found = observing_of(
        {"envoy_prometheus_bind_addr": "0.0.0.0:9102", "otlp_endpoint": "http://c:4318", "otlp_headers": {"k": 1},
         "trace_sampling_percent": 5}, logs,
    )  # fmt: skip
    assert found == Observing(logs, "0.0.0.0:9102", "http://c:4318", {"k": "1"}, 5.0)


@pytest.mark.parametrize("wrong", [True, "5", -1, 101, None, []])
def test_what_cannot_be_read_is_left_out(wrong: Any) -> None:
    config = {"trace_sampling_percent": wrong, "otlp_headers": wrong, "otlp_endpoint": [wrong]}
    assert observing_of(config, None) == Observing()
