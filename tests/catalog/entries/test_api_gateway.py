"""`api-gateway`, `bound-api-gateway` (surface row M31): every golden write, and what those do not show."""

from __future__ import annotations

from typing import Any

from meshtest.config_entries import golden, http_store, write

from meshagent.catalog.entries.api_gateway import APIGateway, Status
from meshagent.catalog.entries.table import parse


@golden("api-gateway", "bound-api-gateway")
def test_it_answers_as_consul(raw: dict[str, Any], error: str) -> None:
    assert write(http_store(), raw) == error


def test_a_status_in_the_body_is_left_out() -> None:
    listeners = [{"Name": "a", "Port": 1, "Protocol": "HTTP"}]
    entry = parse({"Kind": "api-gateway", "Name": "g", "Listeners": listeners, "Status": {"Conditions": [{}]}})
    assert isinstance(entry, APIGateway)
    assert entry.status == Status()
    assert entry.listeners is not None
    assert entry.listeners[0].protocol == "http"
