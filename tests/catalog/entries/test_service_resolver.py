"""`service-resolver` (surface row M25): every golden write, and what those do not show."""

from __future__ import annotations

from typing import Any

from meshtest.config_entries import golden, http_store, write

from meshagent.catalog.entries.service_resolver import ServiceResolver
from meshagent.catalog.entries.table import parse


@golden("service-resolver")
def test_it_answers_as_consul(raw: dict[str, Any], error: str) -> None:
    assert write(http_store(), raw) == error


def test_durations_are_shown_as_go_writes_them() -> None:
    entry = parse({"Kind": "service-resolver", "Name": "a", "ConnectTimeout": "90s", "RequestTimeout": 0})
    assert isinstance(entry, ServiceResolver)
    assert (entry.connect_timeout, entry.request_timeout) == ("1m30s", "")
