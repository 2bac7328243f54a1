"""`service-intentions` (surface row M26, M50): every golden write, and what those do not show."""

from __future__ import annotations

from typing import Any

from meshtest.config_entries import golden, http_store, write

from meshagent.catalog.entries.service_intentions import ServiceIntentions, precedence
from meshagent.catalog.entries.table import parse


@golden("service-intentions")
def test_it_answers_as_consul(raw: dict[str, Any], error: str) -> None:
    assert write(http_store(), raw) == error


def test_precedence() -> None:
    assert [precedence(*pair) for pair in (("a", "b"), ("*", "b"), ("a", "*"), ("*", "*"))] == [9, 8, 6, 5]


def test_sources_fall_by_precedence_and_keep_their_order() -> None:
    sources = [{"Name": "z", "Action": "deny"}, {"Name": "*", "Action": "deny"}, {"Name": "a", "Action": "allow"}]
    entry = parse({"Kind": "service-intentions", "Name": "db", "Sources": sources})
    assert isinstance(entry, ServiceIntentions)
    assert [one.name for one in entry.sources or ()] == ["z", "a", "*"]
