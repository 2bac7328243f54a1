from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.gossip.lamport import MAX_TIME, LamportClock


def test_the_first_value_is_one_and_each_is_taken_once() -> None:
    clock = LamportClock()
    assert [clock.increment(), clock.increment(), clock.time] == [1, 2, 3]


def test_a_later_value_moves_it_and_an_earlier_one_does_not() -> None:
    clock = LamportClock()
    clock.witness(7)
    clock.witness(3)
    assert clock.time == 8
    clock.witness(8)
    assert clock.time == 9


def test_the_greatest_time_does_not_leave_64_bits() -> None:
    clock = LamportClock()
    clock.witness(2**64 - 1)
    assert clock.increment() == 2**64 - 1 == MAX_TIME + 1
    assert clock.time == MAX_TIME + 1


@given(st.lists(st.integers(0, 2**64 - 1)))
def test_it_is_past_all_it_has_seen(seen: list[int]) -> None:
    clock = LamportClock()
    for value in seen:
        before = clock.time
        clock.witness(value)
        assert clock.time >= before
        assert clock.time > min(value, MAX_TIME)
