from __future__ import annotations

from typing import Any

import msgspec
import pytest
from meshtest.httpapi import instance

from meshagent.agent.rpc.delta import apply, digest
from meshagent.agent.rpc.messages import Change, Failure, Said, Unchanged, encode
from meshagent.agent.rpc.questions import decode_rows
from meshagent.agent.rpc.shared import Refused, RowSource, Shared
from meshagent.catalog.store import Store
from meshagent.errors import BadRequest, NotFound


def said(raw: Any) -> Said:
    found: Said = msgspec.msgpack.decode(encode(raw), type=Said)
    return found


@pytest.fixture
def store() -> Store:
    made = Store()
    for number in range(20):
        made.execute(instance(f"n{number}", "web", number=number))
    return made


def test_the_first_time_all_is_sent_then_the_difference(store: Store) -> None:
    shared = Shared(RowSource(store, "service", "web", "me", "dc1"))
    state = shared.state
    first = said(shared.since((0, 0)))
    assert isinstance(first, Change)
    assert first.base == 0
    store.execute(instance("n7", "web", number=7, status="critical"))
    store.flush()
    second = said(shared.since(state))
    assert isinstance(second, Change)
    assert second.base == first.version
    assert len(second.body) < len(first.body) / 5
    body = apply(first.body, second.prefix, second.suffix, second.body)
    assert [entry.checks[0].status for entry in decode_rows("service", body)].count("critical") == 1
    assert second.index > first.index


def test_who_missed_one_gets_all(store: Store) -> None:
    shared = Shared(RowSource(store, "service", "web", "me", "dc1"))
    state = shared.state
    for status in ("critical", "passing"):
        store.execute(instance("n7", "web", number=7, status=status))
        store.flush()
        assert shared.state != state
    change = said(shared.since(state))
    assert isinstance(change, Change)
    assert change.base == 0


def test_a_body_that_is_held_already_is_not_sent(store: Store) -> None:
    shared = Shared(RowSource(store, "service", "web", "me", "dc1"))
    first = said(shared.since((0, 0)))
    assert isinstance(first, Change)
    assert said(shared.since((0, 0), digest(first.body))) == Unchanged(first.version, first.index)
    assert isinstance(said(shared.since((0, 0), b"other")), Change)


def test_followers_are_told_once_for_a_change(store: Store) -> None:
    shared = Shared(RowSource(store, "service", "web", "me", "dc1"))
    told: list[int] = []
    shared.followers[lambda: told.append(1)] = None
    assert shared.state
    for _ in range(3):
        store.execute(instance("n7", "web", number=7, status="critical"))
        store.execute(instance("n7", "web", number=7, status="passing"))
        store.flush()
    assert told == [1]  # nobody looked meanwhile
    shared.close()
    assert not store.watches


def test_a_refused_question_says_why() -> None:
    shared = Shared(Refused(BadRequest("no")))
    assert said(shared.since((0, 0))) == Failure(2, "no")
    assert shared.state == shared.state
    assert not shared.moving
    shared.close()


def test_an_unknown_kind_is_refused(store: Store) -> None:
    with pytest.raises(NotFound, match="'zork'"):
        RowSource(store, "zork", "", "", "")
