"""Results that have been plain data on their way are what `apply` gave."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from meshagent.catalog import commands as c
from meshagent.catalog.model import Check, KVEntry, Node, Service
from meshagent.catalog.results import revive
from meshagent.catalog.txn_outcome import Failure, Outcome, result_of
from meshagent.errors import RemoteProtocolError

ROWS = (
    KVEntry(key="k", value=b"\xff\x00", session="s"),
    Node(name="n", meta={"a": "b"}),
    Service(name="web", tags=("a",), port=1),
    Check(check_id="c", node="n"),
)
OUTCOMES = [Outcome(tuple(map(result_of, ROWS))), Outcome((), (Failure(1, "no"),)), Outcome()]
TXN = c.encode(c.Txn(()))


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize(
    "travel", [lambda value: msgspec.msgpack.decode(msgspec.msgpack.encode(value)), msgspec.to_builtins]
)
def test_a_transaction_comes_back_typed(outcome: Outcome, travel: Any) -> None:
    """Between servers and out of a snapshot."""
    assert revive(TXN, travel(outcome)) == outcome


@pytest.mark.parametrize("result", [None, True, 7, "text", b"bytes"])
def test_plain_results_stay(result: Any) -> None:
    assert revive(b"not even a command", result) is result


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(RemoteProtocolError):
        revive(TXN, {"results": 3})


def test_a_result_that_is_a_list_by_nature_stays() -> None:
    assert revive(c.encode(c.KVSet("a", b"")), [1]) == [1]
