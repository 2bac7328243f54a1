"""`jwt-provider` (surface row M35): every golden write, and what those do not show."""

from __future__ import annotations

from typing import Any

from meshtest.config_entries import golden, http_store, write

from meshagent.catalog.entries.jwt_provider import JWTProvider
from meshagent.catalog.entries.table import parse


@golden("jwt-provider")
def test_it_answers_as_consul(raw: dict[str, Any], error: str) -> None:
    assert write(http_store(), raw) == error


def test_the_clock_skew_has_a_default() -> None:
    entry = parse({"Kind": "jwt-provider", "Name": "j", "JSONWebKeySet": {"Remote": {"URI": "https://x/k"}}})
    assert isinstance(entry, JWTProvider)
    assert entry.clock_skew_seconds == 30
    assert entry.problem() == ""


def test_a_bracket_in_the_uri_of_keys_is_an_answer() -> None:
    made = parse({"Kind": "jwt-provider", "Name": "a", "JSONWebKeySet": {"Remote": {"URI": "https://["}}})
    assert made.problem().startswith("Remote JWKS URI is invalid")
