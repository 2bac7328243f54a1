import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.catalog.filters_grammar import parse
from meshagent.catalog.filters_tree import And, Expression, Match, Not, Operator, Or, format_expression

A = Match(("a", "k-1"), Operator.EQUAL, "1")
B = Match(("b",), Operator.IS_NOT_EMPTY)


@pytest.mark.parametrize(
    ("tree", "text"),
    [
        (A, 'a["k-1"] == "1"'),
        (B, "b is not empty"),
        (Match(("a", "b"), Operator.NOT_IN, 'x"y'), '"x\\x22y" not in a.b'),
        (Not(And((A, B))), 'not (a["k-1"] == "1" and b is not empty)'),
        (Or((And((A, B)), Not(B))), '(a["k-1"] == "1" and b is not empty) or not b is not empty'),
    ],
)
def test_trees_are_written_as(tree: Expression, text: str) -> None:
    assert format_expression(tree) == text


_NAMES = st.from_regex(r"[a-zA-Z][a-zA-Z0-9_]{0,5}", fullmatch=True).filter(lambda name: name != "not")
_PLAIN = st.text(max_size=8)
_MATCHES = st.builds(
    lambda first, rest, op, value: Match((first, *rest), op, None if "EMPTY" in op.name else value),
    _NAMES,
    st.lists(_PLAIN, max_size=2),
    st.sampled_from(Operator),
    _PLAIN,
)
_TREES: st.SearchStrategy[Expression] = st.recursive(
    _MATCHES,
    lambda inner: st.one_of(
        inner.filter(lambda tree: not isinstance(tree, Not)).map(Not),
        st.lists(inner, min_size=2, max_size=3).map(lambda terms: And(tuple(terms))),
        st.lists(inner, min_size=2, max_size=3).map(lambda terms: Or(tuple(terms))),
    ),
    max_leaves=8,
)


@given(_TREES)
def test_parse_of_format_gives_the_tree_back(tree: Expression) -> None:
    assert parse(format_expression(tree)) == tree
