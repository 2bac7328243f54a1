"""A copy is the table as it was, whatever changes while it is taken."""

from __future__ import annotations

import gc
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from meshagent.catalog.copying import Copies, Copy
from meshagent.catalog.sorted_table import SortedTable

KEYS = st.sampled_from([f"k{number}" for number in range(12)])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), KEYS),
        st.tuples(st.just("delete"), KEYS),
        st.tuples(st.just("begin"), st.just("")),
        st.tuples(st.just("take"), st.integers(1, 5)),
    ),
    max_size=60,
)


@given(STEPS)
def test_each_copy_is_its_own_moment(steps: list[tuple[str, Any]]) -> None:
    """Mutation: `before` does not look at how far the walk has come, or keeps the later of two old rows."""
    table = SortedTable[int]((f"k{number}", number) for number in range(0, 12, 2))
    copies = Copies(table)
    under_way: list[tuple[Copy, dict[str, int], list[tuple[str, int]]]] = []
    for number, (what, argument) in enumerate(steps, start=100):
        if what == "set":
            copies.before(argument)
            table[argument] = number
        elif what == "delete" and argument in table:
            copies.before(argument)
            del table[argument]
        elif what == "begin":
            under_way.append((copies.begin(lambda key, value: (key, value)), dict(table), []))
        elif what == "take":
            for copy, _, taken in under_way:
                rows = copy.take(argument)
                assert len(rows) <= argument
                taken += rows
    for copy, expected, taken in under_way:
        while rows := copy.take(3):
            taken += rows
        assert len(taken) == len(expected), "each row once"
        assert dict(taken) == expected


def test_a_copy_that_nobody_holds_costs_nothing() -> None:
    table = SortedTable[int]([("a", 1)])
    copies = Copies(table)
    held, dropped = copies.begin(lambda key, value: key), copies.begin(lambda key, value: key)
    assert len(copies.under_way) == 2
    del dropped
    gc.collect()
    copies.before("a")
    del table["a"]
    assert held.take(5) == ["a"]
    assert held.take(5) == []
    del held
    gc.collect()
    assert not copies.under_way
