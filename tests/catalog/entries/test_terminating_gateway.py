"""`terminating-gateway` (surface row M28): every golden write, and what those do not show."""

from __future__ import annotations

from typing import Any

from meshtest.config_entries import golden, http_store, write


@golden("terminating-gateway")
def test_it_answers_as_consul(raw: dict[str, Any], error: str) -> None:
    assert write(http_store(), raw) == error


def test_a_name_is_one_gateway_only() -> None:
    store = http_store()
    assert write(store, {"Kind": "ingress-gateway", "Name": "g", "Listeners": []}) == ""
    assert write(store, {"Kind": "terminating-gateway", "Name": "g"}) == (
        'cannot create a "terminating-gateway" config entry with name "g", a "ingress-gateway" config entry with that '
        "name already exists"
    )
