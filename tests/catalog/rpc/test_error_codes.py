"""Errors keep their class and their text over the wire."""

from __future__ import annotations

import pytest

from meshagent import errors
from meshagent.catalog.rpc.error_codes import CODES, code_and_message, error_of
from meshagent.catalog.rpc.frames import MAX_ERROR_CHARS
from meshagent.errors import InternalError, MeshError, NoLeader, NotFound

KINDS = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, MeshError) and value is not MeshError
]


def test_every_error_has_a_number() -> None:
    assert set(KINDS) == set(CODES.values())
    assert len(set(CODES.values())) == len(CODES)


@pytest.mark.parametrize("kind", KINDS)
def test_there_and_back(kind: type[MeshError]) -> None:
    back = error_of(*code_and_message(kind("what went wrong")))
    assert type(back) is kind
    assert str(back) == "what went wrong"
    assert back.retryable == kind.retryable


def test_a_child_travels_as_its_parent() -> None:
    class NoSuchNode(NotFound):
        pass

    assert type(error_of(*code_and_message(NoSuchNode("n1")))) is NotFound


def test_a_bug_does_not_show_its_text_to_the_peer() -> None:
    code, message = code_and_message(KeyError("secret"))
    assert (CODES[code], "secret" in message) == (InternalError, False)


def test_the_root_and_unknown_numbers_are_internal_errors() -> None:
    assert type(error_of(*code_and_message(MeshError("x")))) is InternalError
    assert type(error_of(99, "from the future")) is InternalError


def test_long_messages_are_cut() -> None:
    assert len(code_and_message(NoLeader("x" * 10_000))[1]) == MAX_ERROR_CHARS
