"""JSON as a Struct: Google's library reads the same out of it."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import struct_pb2
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.dataplane.json_struct import MAX_DEPTH, STRUCT
from meshagent.errors import LocalProtocolError, RemoteProtocolError

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(value=st.dictionaries(st.text(), VALUES, max_size=4))
def test_google_reads_it(value: dict[str, Any]) -> None:
    assert MessageToDict(struct_pb2.Struct.FromString(STRUCT.encode(value))) == value


def test_what_json_does_not_have_becomes_a_text() -> None:
    read = MessageToDict(struct_pb2.Struct.FromString(STRUCT.encode({"a": (1, b"x")})))
    assert read == {"a": [1.0, "b'x'"]}


def test_it_is_not_nested_without_end() -> None:
    value: dict[str, Any] = {}
    for _ in range(MAX_DEPTH + 1):
        value = {"a": value}
    with pytest.raises(LocalProtocolError, match="nested"):
        STRUCT.encode(value)


def test_it_is_not_read() -> None:
    with pytest.raises(RemoteProtocolError):
        STRUCT.decode(b"")
    assert STRUCT.empty({})
