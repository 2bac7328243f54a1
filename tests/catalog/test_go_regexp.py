from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from meshagent.catalog.go_regexp import compile_search


def test_a_search_is_unanchored():
    search = compile_search("b+")
    assert search("abbc")[0] == "bb"
    assert search("ac") is None


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", "error parsing regexp: missing closing ): `(`"),
        ("[a", "error parsing regexp: missing closing ]: `[a`"),
        ("*", "error parsing regexp: missing argument to repetition operator: `*`"),
        ("a**", "error parsing regexp: invalid nested repetition operator: `**`"),
        ("\ud800", "invalid UTF-8"),
    ],
)
def test_pq1_ev1_a_bad_expression_is_refused_in_go_words(pattern, message):
    with pytest.raises(ValueError) as caught:
        compile_search(pattern)
    assert str(caught.value) == message


@given(st.text(max_size=30))
def test_any_text_is_an_expression_or_a_value_error(pattern):
    try:
        search = compile_search(pattern)
    except ValueError:
        return
    search("some text")
