"""The readers of fields that only serf's messages have."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.gossip import fields as go
from meshagent.errors import RemoteProtocolError


def test_missing_and_nil_are_zero() -> None:
    for fields in ({}, dict.fromkeys([b"A"])):
        assert go.raw_or_none(fields, b"A") is None
        assert go.real(fields, b"A") == 0.0
        assert go.listing(fields, b"A") == []
        assert go.mapping(fields, b"A") == {}


def test_empty_is_not_nil() -> None:
    assert go.raw_or_none({b"A": b""}, b"A") == b""


def test_an_integer_is_a_number_too() -> None:
    assert go.real({b"A": 2}, b"A") == 2.0


@pytest.mark.parametrize(
    ("read", "value"),
    [(go.raw_or_none, 5), (go.real, b"1"), (go.real, True), (go.listing, {}), (go.mapping, []), (go.mapping, b"")],
)
def test_a_value_that_does_not_fit_refuses_the_message(read, value) -> None:
    with pytest.raises(RemoteProtocolError):
        read({b"A": value}, b"A")


@given(st.binary(max_size=200))
def test_where_a_value_ends(data: bytes) -> None:
    try:
        value, end = go.read_value_end(data)
    except RemoteProtocolError:
        return
    assert 0 < end <= len(data)
    assert repr(go.read_value(data[:end])) == repr(value)
