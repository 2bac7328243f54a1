from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.gojson import MAX_DEPTH, first_value


@pytest.mark.parametrize(
    ("text", "message"),
    [  # the first five as a running Consul answered (surface row C7)
        (b"nope", "invalid character 'o' in literal null (expecting 'u')"),
        (b"", "EOF"),
        (b'{"Node":', "unexpected EOF"),
        (b"{{", "invalid character '{' looking for beginning of object key string"),
        (b"xxx", "invalid character 'x' looking for beginning of value"),
        (b" \n", "EOF"),
        (b"[1,2", "unexpected EOF"),
        (b'{"a" 1}', "invalid character '1' after object key"),
        (b'{"a":1 "b"', "invalid character '\"' after object key:value pair"),
        (b"[1 2]", "invalid character '2' after array element"),
        (b"[1}", "invalid character '}' after array element"),
        (b"[,]", "invalid character ',' looking for beginning of value"),
        (b'{"a":1,}', "invalid character '}' looking for beginning of object key string"),
        (b'"a\nb"', r"invalid character '\n' in string literal"),
        (b'"\x01"', r"invalid character '\x01' in string literal"),
        (rb'"\q"', "invalid character 'q' in string escape code"),
        (rb'"\u12x4"', r"invalid character 'x' in \u hexadecimal character escape"),
        (b"-x", "invalid character 'x' in numeric literal"),
        (b"1.x", "invalid character 'x' after decimal point in numeric literal"),
        (b"1e+x", "invalid character 'x' in exponent of numeric literal"),
        (b"\xef\xbb\xbf{}", "invalid character 'ï' looking for beginning of value"),
        (b"'a'", r"invalid character '\'' looking for beginning of value"),
        (b"[" * (MAX_DEPTH + 1), "exceeded max depth"),
    ],
)
def test_a_text_that_is_not_json_is_refused_in_gos_words(text: bytes, message: str) -> None:
    with pytest.raises(ValueError) as error:
        first_value(text)
    assert str(error.value) == message


def test_what_follows_the_first_value_is_ignored() -> None:
    assert first_value(b' {"a": [1, {}]} trailing') == (1, 15)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(json_values, st.sampled_from([None, 1]))
def test_every_json_text_is_one_value(value: object, indent: int | None) -> None:
    text = json.dumps(value, indent=indent).encode()
    assert first_value(text) == (0, len(text))


@given(st.binary() | st.text(alphabet='{}[]:,"\\ut01e-+. \n').map(str.encode))
def test_any_bytes_have_a_first_value_exactly_when_python_says_so(text: bytes) -> None:
    try:
        start, end = first_value(text)
    except ValueError:
        with pytest.raises(ValueError):
            json.loads(text.decode("latin-1"), parse_constant=_refuse)
    else:
        json.loads(text[start:end].decode("latin-1"))


def _refuse(name: str) -> None:
    raise ValueError(name)
