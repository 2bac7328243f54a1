"""No event without a handler, no command that the edge does not know."""

from __future__ import annotations

from meshagent.catalog.rpc import connection, link, signals
from meshagent.machine import Command, Event

OURS = [value for value in vars(signals).values() if isinstance(value, type) and value.__module__ == signals.__name__]


def test_every_event_is_handled_by_the_machine() -> None:
    assert {kind for kind in OURS if issubclass(kind, Event)} <= set(connection._ON_EVENT)


def test_every_command_is_done_by_the_edge() -> None:
    assert {kind for kind in OURS if issubclass(kind, Command)} <= set(link._ON_COMMAND)


def test_all_are_frozen_and_exported() -> None:
    assert {kind.__name__ for kind in OURS} == set(signals.__all__)
    assert all(kind.__dataclass_params__.frozen for kind in OURS)
