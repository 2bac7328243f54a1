"""What agents ask each other about sidecars, as bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.sidecars.messages import Ask, Said, decode_ask, decode_said, encode
from meshagent.errors import RemoteProtocolError

words = st.text(max_size=20)


@given(st.builds(Ask, words, words, st.lists(st.tuples(words, words), max_size=3).map(tuple), st.booleans()))
def test_a_question_is_read_as_it_was_written(ask: Ask) -> None:
    assert decode_ask(encode(ask)) == ask


@given(st.builds(Said, words, st.binary(max_size=20), words, words))
def test_an_answer_is_read_as_it_was_written(said: Said) -> None:
    assert decode_said(encode(said)) == said


@given(st.binary(max_size=64))
def test_any_bytes_decode_or_are_refused(payload: bytes) -> None:
    for decode in (decode_ask, decode_said):
        try:
            decode(payload)
        except RemoteProtocolError:
            pass


def test_a_question_is_bounded() -> None:
    with pytest.raises(RemoteProtocolError, match="does not decode"):
        decode_ask(encode(Ask("tap", "x" * 2000)))
    with pytest.raises(RemoteProtocolError):
        decode_ask(encode(Ask("tap", "", tuple((str(at), "") for at in range(33)))))
