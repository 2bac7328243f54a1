"""`proxy-defaults` (surface row M22): every golden write, and what those do not show."""

from __future__ import annotations

from typing import Any

from meshtest.config_entries import golden, http_store, write

from meshagent.catalog.entries.proxy_defaults import ProxyDefaults


@golden("proxy-defaults")
def test_it_answers_as_consul(raw: dict[str, Any], error: str) -> None:
    assert write(http_store(), raw) == error


def test_a_protocol_that_is_no_text_still_counts() -> None:
    assert ProxyDefaults(name="global", config={"protocol": 5}).protocol == "5"
    assert ProxyDefaults(name="global", config={"protocol": "HTTP"}).protocol == "http"
    assert ProxyDefaults(name="global").protocol == ""
