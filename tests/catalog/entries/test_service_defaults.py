"""`service-defaults` (surface row M21): every golden write, and what those do not show."""

from __future__ import annotations

from typing import Any

from meshtest.config_entries import golden, http_store, write

from meshagent.catalog.entries.service_defaults import ServiceDefaults
from meshagent.catalog.entries.table import parse


@golden("service-defaults")
def test_it_answers_as_consul(raw: dict[str, Any], error: str) -> None:
    assert write(http_store(), raw) == error


def test_upstream_settings_are_brought_into_form() -> None:
    entry = parse(
        {
            "Kind": "service-defaults", "Name": "a",
            "UpstreamConfig": {"Defaults": {"Protocol": "HTTP", "ConnectTimeoutMs": -5}},
        }
    )  # fmt: skip
    assert isinstance(entry, ServiceDefaults)
    assert entry.upstream_config is not None
    assert entry.upstream_config.defaults is not None
    assert entry.upstream_config.defaults.protocol == "http"
    assert entry.upstream_config.defaults.connect_timeout_ms == 0


def test_rate_limits_are_for_everybody_and_checked() -> None:
    good = {"Kind": "service-defaults", "Name": "x", "RateLimits": {"InstanceLevel": {"RequestsPerSecond": 5}}}
    assert write(http_store(), good) == ""
    bad = {**good, "RateLimits": {"InstanceLevel": {"RequestsPerSecond": 0}}}
    assert "invalid rate_limits config. InstanceLevel.RequestsPerSecond must be above 0" in write(http_store(), bad)
