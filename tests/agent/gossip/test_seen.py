from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.gossip.lamport import LamportClock
from meshagent.agent.gossip.seen import MAX_AT_ONE_TIME, SeenWindow


def window(size: int = 8) -> tuple[LamportClock, SeenWindow[str]]:
    clock = LamportClock()
    return clock, SeenWindow(clock, size)


def test_each_is_news_once() -> None:
    clock, seen = window()
    clock.witness(3)
    assert seen.take(3, "a")
    assert seen.take(3, "b")
    assert not seen.take(3, "a")
    assert list(seen) == [(3, ("a", "b"))]


def test_what_is_older_than_the_window_is_dropped() -> None:
    clock, seen = window(8)
    clock.witness(20)
    assert not seen.take(12, "old")
    assert seen.take(13, "just in")


def test_a_slot_is_not_taken_back_by_an_older_time() -> None:
    clock, seen = window(8)
    clock.witness(12)
    assert seen.take(12, "new")
    assert not seen.take(4, "older, same slot")
    assert not seen.take(12, "new")


def test_what_was_before_our_time_is_dropped() -> None:
    clock, seen = window()
    seen.least = 5
    clock.witness(5)
    assert not seen.take(4, "a")
    assert seen.take(5, "a")


def test_one_time_holds_a_bounded_number() -> None:
    clock, seen = window()
    clock.witness(1)
    assert sum(seen.take(1, str(number)) for number in range(MAX_AT_ONE_TIME + 50)) == MAX_AT_ONE_TIME


def test_what_is_remembered_has_a_budget() -> None:
    clock = LamportClock()
    seen: SeenWindow[str] = SeenWindow(clock, 4, weight=len, budget=10)
    clock.witness(1)
    assert seen.take(1, "a" * 6)
    assert not seen.take(1, "b" * 6)
    assert seen.take(1, "c" * 4)
    clock.witness(5)
    assert seen.take(5, "d" * 10)  # its slot was that of time 1
    clock.witness(6)
    assert not seen.take(6, "e")


@given(st.lists(st.tuples(st.integers(0, 60), st.sampled_from("ab"))))
def test_nothing_is_news_twice(messages: list[tuple[int, str]]) -> None:
    clock, seen = window(8)
    news = []
    for ltime, key in messages:
        clock.witness(ltime)
        if seen.take(ltime, key):
            news.append((ltime, key))
    assert len(news) == len(set(news))
