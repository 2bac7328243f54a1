import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.catalog.filters_grammar import MAX_DEPTH, MAX_LENGTH, FilterError, parse
from meshagent.catalog.filters_tree import And, Expression, Match, Not, Operator, Or, format_expression

A = Match(("a",), Operator.EQUAL, "1")
B = Match(("b",), Operator.EQUAL, "2")
C = Match(("c",), Operator.EQUAL, "3")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a==1", A),
        (' \t\r\na == "1" ', A),
        ("not a == 1 and b == 2", And((Not(A), B))),  # F2: not > and > or
        ("a==1 or b==2 and c==3", Or((A, And((B, C))))),
        ("(a==1 or b==2) and c==3", And((Or((A, B)), C))),
        ("a==1 and (b==2 and c==3)", And((A, And((B, C))))),
        ("not not a==1", A),
        ("not (not (not a==1))", Not(A)),
        ("a.b_1.C == x.y", Match(("a", "b_1", "C"), Operator.EQUAL, "x.y")),  # F3
        ('a["x y"].z == `r"w`', Match(("a", "x y", "z"), Operator.EQUAL, 'r"w')),
        ("a[ `k` ] == -1.50", Match(("a", "k"), Operator.EQUAL, "-1.50")),
        ("x in a", Match(("a",), Operator.IN, "x")),
        ('"x" not in a.b', Match(("a", "b"), Operator.NOT_IN, "x")),
        ("7 in a", Match(("a",), Operator.IN, "7")),
        ("a contains x", Match(("a",), Operator.IN, "x")),
        ("a not  contains x", Match(("a",), Operator.NOT_IN, "x")),
        ("a is empty", Match(("a",), Operator.IS_EMPTY)),
        ("a is not empty", Match(("a",), Operator.IS_NOT_EMPTY)),
        ("a matches `x`", Match(("a",), Operator.MATCHES, "x")),
        ("a not matches x", Match(("a",), Operator.NOT_MATCHES, "x")),
        ("not == 1", Match(("not",), Operator.EQUAL, "1")),
        ("not not == 1", Not(Match(("not",), Operator.EQUAL, "1"))),
        ("and == or or in == is", Or((Match(("and",), Operator.EQUAL, "or"), Match(("in",), Operator.EQUAL, "is")))),
        (r'a == "\a\b\f\n\r\t\v\\\x41\101\u00e9\U0001F600"', Match(("a",), Operator.EQUAL, "\a\b\f\n\r\t\v\\AAé😀")),
        ("a == `\r\n`", Match(("a",), Operator.EQUAL, "\n")),
    ],
)
def test_text_reads_as(text: str, tree: Expression) -> None:  # F1-F4
    assert parse(text) == tree
    assert parse(format_expression(tree)) == tree


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (r'a == "\q"', '1:6 (5): rule "string": invalid syntax'),
        (r'a == "\ud800"', '1:6 (5): rule "string": invalid syntax'),
        (r'a == "\777"', '1:6 (5): rule "string": invalid syntax'),
        ('a == "x\ny"', '1:6 (5): rule "string": invalid syntax'),
        (
            'é == "x',
            '1:1 (0): no match found, expected: "(", "-", "0", "\\"", "`", "not", [ \\t\\r\\n], [1-9] or [a-zA-Z]',
        ),
        ('"é" == 1', '1:5 (5): no match found, expected: "in", "not" or [ \\t\\r\\n]'),
        (
            "\n\n==",
            '3:1 (2): no match found, expected: "(", "-", "0", "\\"", "`", "not", [ \\t\\r\\n], [1-9] or [a-zA-Z]',
        ),
        ("aa\udc80", "1:3 (2): invalid encoding"),
        ('a["x == 1', '1:10 (9): rule "string": Unterminated string literal\n1:3 (2): rule "index": Invalid index'),
    ],
)
def test_errors_give_line_column_and_byte(text: str, message: str) -> None:  # C21
    with pytest.raises(FilterError) as caught:
        parse(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "text",
    [
        "(" * (MAX_DEPTH + 1) + "a==1" + ")" * (MAX_DEPTH + 1),
        "not " * (MAX_DEPTH + 1) + "a==1",
        "(" * 60000,
        "not " * 15000,
        "not(" * 15000,
        "a" * (MAX_LENGTH + 1),
        '"\\q" in a and ' * 4000,
        "a[" * 30000,
        "(a==1 " * 9000,
    ],
)
def test_hostile_expressions_are_refused_at_once(text: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse(text)
    assert len(str(caught.value)) < 4000


def test_long_but_flat_expressions_are_read() -> None:
    tree = parse(" and ".join(["a==1"] * 7000))
    assert isinstance(tree, And)
    assert len(tree.terms) == 7000
    assert parse("(" * MAX_DEPTH + "a==1" + ")" * MAX_DEPTH) == A


@given(st.text(alphabet='ab."`[]()=! \n\\xnotindempyrs01-é\ud800', max_size=40))
def test_any_text_parses_or_raises(text: str) -> None:
    try:
        tree = parse(text)
    except FilterError as error:
        assert str(error)
    else:
        assert parse(format_expression(tree)) == tree
