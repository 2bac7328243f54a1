"""Rows of overviews from a store; the endpoints are in tests/agent/http/test_internal.py."""

from __future__ import annotations

from meshagent.catalog.overviews import health_counts, node_dumps, summaries
from meshagent.catalog.store import Store


def test_an_empty_catalog_has_no_rows() -> None:
    store = Store()
    assert (summaries(store), node_dumps(store), node_dumps(store, "x")) == ([], [], [])
    assert health_counts(store)["Nodes"] == [{"Total": 0, "Passing": 0, "Warning": 0, "Critical": 0}]
