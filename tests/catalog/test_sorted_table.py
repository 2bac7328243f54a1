"""A dict whose keys come in order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from sortedcontainers import SortedDict

from meshagent.catalog.sorted_table import SortedTable

KEYS = st.text(alphabet="ab/\U0010ffff", max_size=3)
STEPS = st.lists(
    st.tuples(st.sampled_from(["set", "set", "delete", "pop", "extend"]), KEYS, st.integers()), max_size=80
)


@given(STEPS, KEYS, KEYS)
def test_it_is_a_sorted_dict(steps: list[tuple[str, str, int]], first: str, last: str) -> None:
    table, model = SortedTable[int](), SortedDict()
    for what, key, number in steps:
        if what == "set":
            table[key] = model[key] = number
        elif what == "extend":
            rows = {key[at:]: number + at for at in range(3)}
            table.extend(rows)
            model.update(rows)
        elif what == "delete" and key in model:
            del table[key], model[key]
        else:
            assert table.pop(key, None) == model.pop(key, None)
        assert table.get(key) == model.get(key)
        assert (key in table) == (key in model)
        assert len(table) == len(model)
    assert list(table) == list(model)
    assert list(table.items()) == list(model.items())
    assert sorted(table.each_item()) == list(model.items())
    found = list(table.between(first, last, after=True))
    assert found == (list(model.irange(first, last, inclusive=(False, True))) if first <= last else [])


def test_a_row_that_is_not_there_leaves_the_order_alone() -> None:
    table = SortedTable([("b", 1), ("a", 2)])
    try:
        del table["c"]
    except KeyError:
        assert list(table) == ["a", "b"]
    else:
        raise AssertionError("no KeyError")


def test_all_goes() -> None:
    table = SortedTable((str(number), number) for number in range(3000))
    assert sum(1 for _ in table.let_go()) > 100
    assert (len(table), list(table), list(table.each_value())) == (0, [], [])
    table["a"] = 1
    assert list(table.items()) == [("a", 1)]
