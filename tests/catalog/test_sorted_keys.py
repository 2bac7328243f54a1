"""In order at any time, as `sortedcontainers` has it; no list of it grows long or stays short."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sortedcontainers import SortedSet

from meshagent.catalog import sorted_keys
from meshagent.catalog.sorted_keys import SortedKeys

KEYS = st.text(alphabet="ab\x00\u00e9\U0010ffff", max_size=4)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["add", "add", "remove"]), KEYS),
        st.tuples(st.sampled_from(["extend", "extend in order"]), st.lists(KEYS, max_size=20)),
    ),
    max_size=120,
)


@pytest.fixture(autouse=True, scope="module")
def short_lists() -> Any:
    """So that a few keys already are many lists."""
    load, sorted_keys.LOAD = sorted_keys.LOAD, 8
    yield
    sorted_keys.LOAD = load


def followed(steps: list[tuple[str, Any]], begin: list[str]) -> tuple[SortedKeys, Any]:
    keys, model = SortedKeys(set(begin)), SortedSet(begin)
    for what, key in steps:
        if what == "add" and key not in model:
            keys.add(key)
            model.add(key)
        elif what.startswith("extend"):
            fresh = [each for each in dict.fromkeys(key) if each not in model]
            keys.extend(sorted(fresh) if what == "extend in order" else fresh)
            model.update(fresh)
        elif what == "remove" and key in model:
            keys.remove(key)
            model.remove(key)
        assert len(keys) == len(model)
    return keys, model


@given(STEPS, st.lists(KEYS, max_size=40), KEYS, KEYS, st.booleans())
def test_it_is_a_sorted_set(steps: list[tuple[str, Any]], begin: list[str], first: str, last: str, after: bool) -> None:
    keys, model = followed(steps, begin)
    assert list(keys) == list(model)
    assert list(keys.between(first, after=after)) == list(model.irange(first, inclusive=(not after, True)))
    found = list(keys.between(first, last, after=after))
    assert found == (list(model.irange(first, last, inclusive=(not after, True))) if first <= last else [])


@given(STEPS, st.lists(KEYS, max_size=40))
def test_no_list_grows_long_and_their_last_keys_are_known(steps: list[tuple[str, Any]], begin: list[str]) -> None:
    """Mutation: `remove` does not mend the last key, or `add` never cuts."""
    keys, _ = followed(steps, begin)
    assert all(0 < len(each) <= 2 * sorted_keys.LOAD for each in keys._lists)
    assert keys._lasts == [each[-1] for each in keys._lists]


@pytest.mark.parametrize("order", [sorted, lambda keys: sorted(keys, reverse=True), lambda keys: list(keys)])
def test_filling_and_emptying_keeps_the_lists_few(order: Callable[[Any], list[str]]) -> None:
    keys = SortedKeys()
    many = {f"k{number * 7919 % 3000:05d}" for number in range(3000)}
    for key in order(many):
        keys.add(key)
    assert list(keys) == sorted(many)
    assert len(keys._lists) <= 3000 / sorted_keys.LOAD
    for key in order(many - {"k00001", "k02000"}):
        keys.remove(key)
    assert list(keys) == ["k00001", "k02000"]
    assert len(keys._lists) <= 2


def test_it_is_let_go_of_list_by_list() -> None:
    keys = SortedKeys(f"k{number}" for number in range(100))
    assert sum(1 for _ in keys.let_go()) == 13
    assert (len(keys), list(keys)) == (0, [])
