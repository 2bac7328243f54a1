from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.http.response import JSON, TEXT, encode_json, json_response, text_response


def test_c6_html_is_escaped_as_go_does() -> None:
    assert encode_json({"a": "<b>&\u2028\u2029"}) == b'{"a":"\\u003cb\\u003e\\u0026\\u2028\\u2029"}'


@given(
    st.recursive(
        st.text() | st.integers(-(2**60), 2**60) | st.none(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_c6_escaping_changes_no_value(value: object) -> None:
    body = encode_json(value)
    assert json.loads(body) == value
    assert not set(b"<>&") & set(body)


def test_constructors() -> None:
    answer = json_response([1], 404, (("X-A", "b"),))
    assert (answer.status, answer.body, answer.headers, answer.content_type) == (404, b"[1]", (("X-A", "b"),), JSON)
    assert (text_response("né", 500).body, text_response("x").content_type) == ("né".encode(), TEXT)
