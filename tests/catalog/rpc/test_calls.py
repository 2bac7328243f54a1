"""Open requests: every one ends once."""

from __future__ import annotations

from meshagent.catalog.rpc.calls import Calls


def test_ids_are_never_used_twice() -> None:
    calls = Calls()
    ids = []
    for token in range(5):
        ids.append(calls.next_id())
        calls.open(ids[-1], token, 1.0)
        calls.finish(ids[-1])
    assert ids == [1, 2, 3, 4, 5]


def test_who_waits_and_until_when() -> None:
    calls = Calls()
    assert calls.next_deadline() is None
    for token, deadline in (("a", 5.0), ("b", 3.0), ("c", 9.0)):
        calls.open(calls.next_id(), token, deadline)
    assert (len(calls), calls.next_deadline()) == (3, 3.0)
    assert calls.expired(5.0) == [1, 2]
    calls.keep(1)
    assert calls.expired(100.0) == [2, 3]
    assert (calls.id("b"), calls.token(2)) == (2, "b")
    assert calls.finish(2) == "b"
    assert (calls.finish(2), calls.token(2), calls.id("b")) == (None, None, None)
    calls.finish(3)
    assert calls.next_deadline() is None  # a stream has none
    assert calls.clear() == ["a"]
    assert len(calls) == 0
