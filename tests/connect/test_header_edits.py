"""Header changes that a proxy may make."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given

from meshagent.catalog.entries.entry import HeaderModifiers
from meshagent.connect.header_edits import usable


def test_framing_and_other_lines_are_left_alone() -> None:
    made = usable(
        HeaderModifiers(
            add={"Connection": "x", "x-a": "1\r\n2", "x-b": " 1\t", "x y": "1", "é": "1"},
            set={"Transfer-Encoding": "x", "X-C": "2"},
            remove=("Host", "TE", "x-d"),
        )
    )
    assert made == HeaderModifiers(add={"x-b": "1"}, set={"X-C": "2"}, remove=("x-d",))


def test_what_is_set_takes_the_place_of_what_is_added() -> None:
    assert usable(HeaderModifiers(add={"X-A": "1", "x-b": "1"}, set={"x-a": "2"})).add == {"x-b": "1"}


def test_none_changes_nothing() -> None:
    assert usable(None) == HeaderModifiers()


TEXT = st.text(max_size=8)


@given(st.dictionaries(TEXT, TEXT, max_size=3), st.dictionaries(TEXT, TEXT, max_size=3), st.lists(TEXT, max_size=3))
def test_what_is_left_is_no_other_line(add: dict[str, str], given: dict[str, str], remove: list[str]) -> None:
    made = usable(HeaderModifiers(add=add, set=given, remove=tuple(remove)))
    for name, value in {**(made.add or {}), **(made.set or {})}.items():
        assert not set("\r\n\0:") & set(name)
        assert not set("\r\n\0") & set(value)
    assert usable(made) == made
