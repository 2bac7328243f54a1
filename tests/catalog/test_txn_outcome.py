"""What a transaction gives, as data that says what it is."""

from __future__ import annotations

import pytest

from meshagent.catalog.model import Check, KVEntry, Node, Service
from meshagent.catalog.txn_outcome import TxnResult, result_of
from meshagent.errors import CorruptData


@pytest.mark.parametrize("row", [KVEntry(key="k"), Node(name="n"), Service(name="s"), Check(check_id="c")])
def test_a_row_stands_under_the_name_of_its_kind(row: KVEntry | Node | Service | Check) -> None:
    result = result_of(row)
    assert result.row is row
    assert [name for name in ("kv", "node", "service", "check") if getattr(result, name) is row] == [
        {KVEntry: "kv", Node: "node", Service: "service", Check: "check"}[type(row)]
    ]


def test_a_result_without_a_row_is_damaged() -> None:
    with pytest.raises(CorruptData):
        _ = TxnResult().row
