"""`ingress-gateway` (surface row M27): every golden write, and what those do not show."""

from __future__ import annotations

from typing import Any

import pytest
from meshtest.config_entries import golden, http_store, write


@golden("ingress-gateway")
def test_it_answers_as_consul(raw: dict[str, Any], error: str) -> None:
    assert write(http_store(), raw) == error


@pytest.mark.parametrize(
    ("host", "good"), [("a.b", True), ("*.a.b", True), ("a.b:80", True), ("a b", False), ("a.*.b", False), ("*", True)]
)
def test_hosts(host: str, good: bool) -> None:
    listener = {"Port": 1, "Protocol": "http", "Services": [{"Name": "web", "Hosts": [host]}]}
    assert (write(http_store(), {"Kind": "ingress-gateway", "Name": "g", "Listeners": [listener]}) == "") is good
