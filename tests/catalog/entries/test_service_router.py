"""`service-router` (surface row M23): every golden write, and what those do not show."""

from __future__ import annotations

from typing import Any

from meshtest.config_entries import golden, http_store, write

from meshagent.catalog.entries.table import parse


@golden("service-router")
def test_it_answers_as_consul(raw: dict[str, Any], error: str) -> None:
    assert write(http_store(), raw) == error


def test_it_names_the_services_it_leads_to() -> None:
    entry = parse({"Kind": "service-router", "Name": "a", "Routes": [{"Destination": {"Service": "b"}}, {}]})
    assert entry.related() == {"b"}
