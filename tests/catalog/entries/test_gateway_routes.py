"""`http-route`, `tcp-route` (surface row M32, M33): every golden write, and what those do not show."""

from __future__ import annotations

from typing import Any

from meshtest.config_entries import golden, http_store, write

from meshagent.catalog.entries.gateway_routes import HTTPRoute
from meshagent.catalog.entries.table import parse


@golden("http-route", "tcp-route")
def test_it_answers_as_consul(raw: dict[str, Any], error: str) -> None:
    assert write(http_store(), raw) == error


def test_what_is_left_out_is_filled_in() -> None:
    rules = [{"Matches": [{"Method": "get"}], "Services": [{"Name": "a"}]}]
    entry = parse({"Kind": "http-route", "Name": "r", "Parents": [{"Name": "g"}], "Rules": rules})
    assert isinstance(entry, HTTPRoute)
    assert entry.parents is not None
    assert entry.rules is not None
    assert entry.parents[0].kind == "api-gateway"
    match = (entry.rules[0].matches or ())[0]
    assert (match.method, match.path.match, match.path.value) == ("GET", "prefix", "/")
    assert (entry.rules[0].services or ())[0].weight == 1
    assert entry.services() == ("a",)
