"""Config entries in tests: the golden answers to rejected and accepted writes, kind by kind."""

from __future__ import annotations

import json
from typing import Any

import pytest

from meshagent.catalog import commands
from meshagent.catalog.entries.table import check, parse
from meshagent.catalog.store import Store
from meshagent.errors import MeshError
from meshtest import ROOT

GOLDEN = ROOT / "tests" / "data" / "golden" / "http" / "config-entry-errors.json"


def golden(*kinds: str) -> Any:
    """Every golden write of `kinds` as (raw entry, Consul's error or "")."""
    rows = []
    for at, step in enumerate(json.loads(GOLDEN.read_text())["steps"]):
        raw = step["request"].get("json")
        ours = isinstance(raw, dict) and "RateLimits" in raw  # taken on purpose: conformance/differences.toml
        if step["request"]["method"] == "PUT" and isinstance(raw, dict) and raw.get("Kind") in kinds and not ours:
            error = step["response"].get("text", "") if step["response"]["status"] != 200 else ""
            rows.append(pytest.param(raw, error, id=f"step {at}"))
    assert rows
    return pytest.mark.parametrize(("raw", "error"), rows)


def http_store() -> Store:
    """A store where `web` and `full` speak HTTP, as in the golden scenario."""
    store = Store()
    for name in ("web", "full"):
        assert write(store, {"Kind": "service-defaults", "Name": name, "Protocol": "http"}) == ""
    return store


def write(store: Store, raw: dict[str, Any], cas: int | None = None) -> str:
    """Write an entry the way the API does; the error, or ""."""
    try:
        entry = parse(raw)
        check(entry)
        store.apply(commands.encode(commands.ConfigEntrySet(entry, cas, "2024-01-01T00:00:00Z")))  # type: ignore[arg-type]
    except MeshError as error:
        return str(error)
    return ""


def remove(store: Store, kind: str, name: str) -> str:
    """Delete an entry; the error, or ""."""
    try:
        store.apply(commands.encode(commands.ConfigEntryDelete(kind, name, None, "2024-01-02T00:00:00Z")))
    except MeshError as error:
        return str(error)
    return ""
