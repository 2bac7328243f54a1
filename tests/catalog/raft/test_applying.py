"""Results and errors go to their proposer, nobody's error to another, and a replay swallows what was refused before."""

from __future__ import annotations

import asyncio

import pytest
from meshtest.logs import History

from meshagent.catalog.raft.applying import Applier
from meshagent.catalog.raft.state import ReplicatedState
from meshagent.errors import Conflict, InternalError

COMMANDS = [b"a", b"refuse", b"bug", b"b"]


async def test_each_future_gets_what_its_command_came_to(caplog: pytest.LogCaptureFixture) -> None:
    futures = [asyncio.get_running_loop().create_future() for _ in COMMANDS]
    Applier(ReplicatedState(History())).answer(COMMANDS, [None] * 4, futures, 0)
    assert [future.exception().__class__ for future in futures] == [type(None), Conflict, InternalError, type(None)]
    assert (futures[0].result(), futures[3].result()) == (1, 2)
    assert "ZeroDivisionError" in caplog.text


async def test_who_gave_up_is_not_told() -> None:
    machine = History()
    futures = [asyncio.get_running_loop().create_future() for _ in COMMANDS]
    for future in futures:
        future.cancel()
    Applier(ReplicatedState(machine)).answer(COMMANDS, [None] * 4, futures, 0)
    assert machine.commands == [b"a", b"b"]


def test_a_replay_comes_to_the_same_state() -> None:
    machine = History()
    Applier(ReplicatedState(machine)).replay([(None, command) for command in COMMANDS], 0)
    assert machine.commands == [b"a", b"b"]


def test_a_reader_that_fails_to_wake_is_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Grumpy(History):
        def flush(self) -> None:
            raise ZeroDivisionError

    Applier(ReplicatedState(Grumpy())).flush()
    assert "waking the readers failed" in caplog.text
