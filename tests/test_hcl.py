from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.errors import ConfigError
from meshagent.hcl import MAX_DEPTH, parse_hcl, parse_json


def hcl(text: str) -> dict[str, Any]:
    return parse_hcl(text, "f.hcl").root


@pytest.mark.parametrize(
    ("text", "value"),
    [  # surface row G1: HCL 1
        ("", {}),
        ("a = 1", {"a": 1}),
        (
            "a=0x1F b=-5 c=0777 d=1.5 e=-2e3 f=.5 g=0",
            {"a": 31, "b": -5, "c": 511, "d": 1.5, "e": -2000.0, "f": 0.5, "g": 0},
        ),
        ("a = true\nb = false", {"a": True, "b": False}),
        ('a = "x"', {"a": "x"}),
        (r'a = "\"\\\n\t\x41\u00e9\101\U0001F600"', {"a": '"\\\n\tAéA😀'}),
        ('a = "${x {"y"} \n \\n}" b = 2', {"a": '${x {"y"} \n \\n}', "b": 2}),
        ('"quoted key" = 1', {"quoted key": 1}),
        ("dotted.key-x = 1", {"dotted.key-x": 1}),
        ("a = [1, 2,]", {"a": [1, 2]}),
        ('a = [1, "b", [true], {c = 1}]', {"a": [1, "b", [True], {"c": 1}]}),
        ("a = []", {"a": []}),
        ("a {}", {"a": [{}]}),
        ("a = { b = 1, c = 2 }", {"a": [{"b": 1, "c": 2}]}),
        ("a { b = 1 c = 2 }", {"a": [{"b": 1, "c": 2}]}),
        ("a { b = 1 }\na { b = 2 }", {"a": [{"b": 1}, {"b": 2}]}),
        ('a "x" "y" { b = 1 }', {"a": [{"x": [{"y": [{"b": 1}]}]}]}),
        ("# c\n// c\n/* c\n */ a = 1 # c\nb = 2 // c", {"a": 1, "b": 2}),
        ("a = <<EOF\nx\n  y\nEOF\nb = 1", {"a": "x\n  y\n", "b": 1}),
        ("a = <<-EOF\n    x\n      y\n    EOF\n", {"a": "x\n  y\n"}),
        ("a = <<-EOF\n  x\n    EOF\n", {"a": "  x\n"}),
        ("a = [<<E\nx\nE\n, 1]", {"a": ["x\n", 1]}),
        ('{"a": {"b": [1, null]}}', {"a": {"b": [1, None]}}),
        ("\ufeffa = 1", {"a": 1}),
        ("é = 1", {"é": 1}),
    ],
)
def test_hcl_reads(text: str, value: Any) -> None:
    assert hcl(text) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a", "1:2: expected '=' or '{' after 'a', found the end of the file"),
        ("a = ", "1:5: expected a value, found the end of the file"),
        ("\n  a = x", "2:7: expected a value, found x; a text needs quotes"),
        ("a = 10s", '1:5: a value like "10s" needs quotes'),
        ("a = 08", "1:5: 08 is not a number"),
        ("a = 127.0.0.1", '1:5: a value like "127.0.0.1" needs quotes'),
        ('a = "x\n', "1:5: this string is not closed on its line"),
        ('a = "${x', "1:5: this string is not closed on its line"),
        (r'a = "\q"', r"1:6: a string cannot hold the escape '\\q'"),
        (r'a = "\ud800"', r"1:6: \ud800 is not a character"),
        ("a {\n b = 1\n", "1:3: this '{' is not closed"),
        ("a = [1", "1:5: this '[' is not closed"),
        ("a = [1 2]", "1:8: expected ',' or ']' in a list, found '2'"),
        ('a "b" = 1', "1:7: expected '{' after the label 'b', found '='"),
        ("/* x", "1:1: this comment is not closed"),
        ("a = <<EOF\nx\n", "1:5: no line holds the 'EOF' that ends this text"),
        ("a = << \nx\n", "1:5: '<<' must be followed by a word and a new line"),
        ("= 1", "1:1: expected a key, found '='"),
        ("a = " + "[" * (MAX_DEPTH + 2), f"1:{MAX_DEPTH + 5}: nested too deep"),
        ("a {" * (MAX_DEPTH + 2), f"1:{3 * MAX_DEPTH + 3}: nested too deep"),
    ],
)
def test_hcl_says_where_it_is_wrong(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        hcl(text)
    assert str(error.value) == f"f.hcl:{message}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1:1: expected a value, found the end of the file"),
        ("[]", "1:1: a configuration is an object: { ... }"),
        ('{"a": 1,}', "1:9: expected a key in double quotes, found '}'"),
        ('{"a" 1}', "1:6: expected ':' after the key 'a', found '1'"),
        ('{"a": 1 "b": 2}', "1:9: expected ',' or '}' after the value of 'a', found '\"'"),
        ('{"a": [1 2]}', "1:10: expected ',' or ']' in a list, found '2'"),
        ('{\n "a": nope}', "2:7: expected a value, found 'nope'"),
        ('{"a": 01}', '1:7: a value like "01" needs quotes'),
        ('{"a": "x\ny"}', "1:7: this string is not closed on its line"),
        (r'{"a": "\q"}', "1:7: this string holds an escape that JSON does not know"),
        ("{} x", "1:4: nothing may follow the closing bracket"),
        ('{"a":' + "[" * (MAX_DEPTH + 1), f"1:{MAX_DEPTH + 6}: nested too deep"),
    ],
)
def test_json_says_where_it_is_wrong(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_json(text, "f.json")
    assert str(error.value) == f"f.json:{message}"


def test_a_key_given_twice_is_told() -> None:
    parsed = parse_hcl("a = 1\na = 2", "f.hcl")
    assert parsed.root == {"a": 2}
    assert parsed.warnings == ["f.hcl:2:1: 'a' was given before in f.hcl:1:1; the last one counts"]
    assert parse_json('{"a": 1, "a": 2}', "f.json").warnings == [
        "f.json:1:10: 'a' was given before in f.json:1:2; the last one counts"
    ]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=8), json_values, max_size=4), st.sampled_from([None, 2]), st.booleans())
def test_every_json_text_reads_as_json_loads_does(value: Any, indent: int | None, ascii: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii)
    assert parse_json(text, "f.json").root == json.loads(text)


hcl_text = st.text() | st.text(alphabet='ab ={}[],"\\\n$#/*<->EOF0x1.5e-\t').map(lambda text: "a = " + text)


@given(hcl_text)
def test_any_text_parses_or_says_where_not(text: str) -> None:
    for parse, file in ((parse_hcl, "f.hcl"), (parse_json, "f.json")):
        try:
            parse(text, file)
        except ConfigError as error:
            name, line, column, _ = str(error).split(":", 3)
            assert name == file
            assert 1 <= int(line) <= text.count("\n") + 1
            assert int(column) >= 1
