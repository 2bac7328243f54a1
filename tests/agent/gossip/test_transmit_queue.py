import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.gossip.transmit_queue import TransmitQueue, transmit_limit


@pytest.mark.parametrize(
    ("mult", "nodes", "limit"), [(4, 1, 4), (4, 9, 4), (4, 10, 8), (3, 0, 0), (3, 1, 3), (3, 99, 6), (4, 1000, 16)]
)
def test_how_often_a_payload_is_sent(mult: int, nodes: int, limit: int) -> None:
    assert transmit_limit(mult, nodes) == limit


def test_an_empty_queue_has_nothing() -> None:
    assert TransmitQueue(4).take(3, 1400, 10) == []


def test_fewest_sends_then_longest_then_newest() -> None:
    queue = TransmitQueue(4)
    for payload in (b"aa", b"b", b"cc"):
        queue.add(payload)
    assert queue.take(2, 8, 1) == [b"cc", b"aa"]
    queue.add(b"d")
    assert queue.take(2, 100, 1) == [b"d", b"b", b"cc", b"aa"]


def test_of_what_waits_the_longest_that_fits() -> None:
    queue = TransmitQueue(4)
    for payload in (b"x" * 50, b"y" * 20, b"z" * 5):
        queue.add(payload)
    assert queue.take(2, 30, 1) == [b"y" * 20, b"z" * 5][:2]
    assert queue.take(2, 30, 1) == [b"y" * 20, b"z" * 5]
    assert queue.take(2, 52, 1) == [b"x" * 50]


def test_it_is_sent_as_often_as_the_pool_needs() -> None:
    queue = TransmitQueue(2)
    ended: list[str] = []
    queue.add(b"a", ended=lambda: ended.append("a"))
    sent = 0
    while queue:
        assert ended == []
        sent += len(queue.take(2, 100, 50))
    assert sent == transmit_limit(2, 50) == 4
    assert ended == ["a"]


def test_a_name_is_told_once() -> None:
    queue = TransmitQueue(4)
    ended: list[str] = []
    queue.add(b"old", "n", lambda: ended.append("old"))
    queue.add(b"new", "n", lambda: ended.append("new"))
    assert ended == ["old"]
    assert queue.take(2, 100, 1) == [b"new"]
    queue.drop("n")
    queue.drop("n")
    assert ended == ["old", "new"]
    assert not queue


def test_too_many_are_cut_to_the_least_told() -> None:
    queue = TransmitQueue(4)
    queue.add(b"told")
    queue.take(0, 100, 9)
    for number in range(5):
        queue.add(bytes([number]), name=str(number))
    assert queue.prune(4) == 2
    assert queue.prune(4) == 0
    assert b"told" not in queue.take(0, 100, 9)


def test_a_name_that_ended_may_come_again() -> None:
    queue = TransmitQueue(1)
    for _ in range(2):
        queue.add(b"a", "n")
        assert queue.take(0, 10, 1) == [b"a"]
        assert not queue
    queue.add(b"a", "n")
    assert queue.prune(0) == 1
    queue.add(b"b", "n")
    assert queue.take(0, 10, 1) == [b"b"]


@given(
    st.lists(st.tuples(st.binary(min_size=1, max_size=60), st.sampled_from([None, "a", "b"])), max_size=30),
    st.integers(0, 4),
    st.integers(0, 120),
)
def test_nothing_is_lost_and_nothing_overflows(adds, overhead: int, limit: int) -> None:
    queue = TransmitQueue(1)
    ended = []
    for payload, name in adds:
        queue.add(payload, name, lambda: ended.append(1))
    for _ in range(len(adds) + 1):
        taken = queue.take(overhead, limit, 5)
        assert sum(len(payload) + overhead for payload in taken) <= max(limit, 0)
        if not taken:
            break
    assert all(len(payload) + overhead > limit for payload in queue.take(overhead, 10_000, 5))
    queue.prune(0)
    assert len(ended) == len(adds)
