"""What the entries of a restore do on one server."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from meshtest.logs import History

from meshagent.catalog.commands import KVSet
from meshagent.catalog.raft.restorer import Restorer
from meshagent.catalog.raft.staging import CHUNK, EXCHANGE, encode_part
from meshagent.catalog.raft.state import ReplicatedState
from meshagent.catalog.store import Store
from meshagent.errors import Conflict, CorruptData


def test_an_exchange_is_done_when_its_entry_is_and_what_is_left_goes_aside() -> None:
    machine, aside = History(), list[Iterator[object]]()
    restorer = Restorer(ReplicatedState(machine), random.Random(1), aside.append)
    restorer.apply(encode_part(CHUNK, b"id", 0, b"x"))
    assert (machine.commands, restorer.exchanged) == ([], 0)
    restorer.apply(encode_part(EXCHANGE, b"id", 1))
    assert (machine.commands, restorer.exchanged, restorer.error) == ([b"x"], 1, None)
    assert len(aside) == 2
    for steps in aside:
        list(steps)


def test_what_an_entry_came_to_is_remembered_until_the_next() -> None:
    aside = list[Iterator[object]]()
    restorer = Restorer(ReplicatedState(Store()), random.Random(1), aside.append)
    source = Store()
    source.execute(KVSet("k", b"v"))
    first = next(source.snapshot())
    restorer.apply(encode_part(CHUNK, b"id", 1, b"x"))
    assert isinstance(restorer.error, Conflict)
    restorer.apply(encode_part(CHUNK, b"id", 0, first))
    assert restorer.error is None
    assert not aside
    restorer.apply(encode_part(EXCHANGE, b"id", 1))
    assert isinstance(restorer.error, CorruptData)
    assert (restorer.exchanged, len(aside)) == (0, 2)


def test_an_entry_that_nobody_knows_stops_it() -> None:
    restorer = Restorer(ReplicatedState(History()), random.Random(1), lambda steps: None)
    with pytest.raises(CorruptData, match="use a newer program"):
        restorer.apply(encode_part(9, b"id", 0))
