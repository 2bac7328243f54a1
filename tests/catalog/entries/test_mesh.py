"""`mesh` (surface row M29): every golden write, and what those do not show."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from meshtest.config_entries import golden, http_store, write

from meshagent.catalog.store import Store


@golden("mesh")
def test_it_answers_as_consul(raw: dict[str, Any], error: str) -> None:
    assert write(http_store(), raw) == error


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        (
            {"TLS": {"Incoming": {"TLSMinVersion": "zork"}}},
            "error in incoming TLS configuration: no matching TLS version",
        ),
        ({"TLS": {"Outgoing": {"CipherSuites": ["zork"]}}}, "error in outgoing TLS configuration: unsupported cipher"),
        (
            {"HTTP": {"Incoming": {"RequestNormalization": {"HeadersWithUnderscoresAction": "zork"}}}},
            "no matching HeadersWithUnderscoresAction value found for zork",
        ),
    ],
)
def test_what_is_refused(fields: dict[str, Any], problem: str) -> None:
    assert write(Store(), {"Kind": "mesh", **fields}).startswith(problem)


def test_its_name_is_not_written() -> None:
    store = Store()
    assert write(store, {"Kind": "mesh", "AllowEnablingPermissiveMutualTLS": True}) == ""
    stored = store.config.get("mesh", "mesh")
    assert stored is not None
    assert b'"Name"' not in msgspec.json.encode(stored)
    assert write(store, {"Kind": "service-defaults", "Name": "a", "MutualTLSMode": "permissive"}) == ""
