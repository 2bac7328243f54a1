"""`service-splitter` (surface row M24): every golden write, and what those do not show."""

from __future__ import annotations

from typing import Any

from meshtest.config_entries import golden, http_store, write

from meshagent.catalog.entries.service_splitter import ServiceSplitter
from meshagent.catalog.entries.table import parse


@golden("service-splitter")
def test_it_answers_as_consul(raw: dict[str, Any], error: str) -> None:
    assert write(http_store(), raw) == error


def test_weights_are_kept_in_hundredths() -> None:
    entry = parse({"Kind": "service-splitter", "Name": "a", "Splits": [{"Weight": 33.333}, {"Weight": 66.669}]})
    assert isinstance(entry, ServiceSplitter)
    assert [split.weight for split in entry.splits or ()] == [33.33, 66.67]
    assert entry.problem() == (
        'split destination occurs more than once: service="a", subset="", namespace="", partition=""'
    )
