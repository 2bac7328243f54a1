"""The way into pysyncobj is closed; what is said waits for the disk; members follow the log, also backwards."""

from __future__ import annotations

from typing import Any

import pytest
from meshtest.engines import Server, journal_of

from meshagent.catalog.raft.configuration import Server as Member
from meshagent.catalog.raft.configuration import encode_configuration, initial
from meshagent.catalog.raft.messages import AppendEntries

THREE = initial({name: f"{name}:8300" for name in "abc"})
FOUR = THREE.having(Member("d", "d:8300", True))


@pytest.mark.parametrize("name", ["_onTick", "_SyncObj__onMessageReceived", "_SyncObj__sendAppendEntries"])
def test_pysyncobj_handles_nothing_by_itself(name: str) -> None:
    with pytest.raises(AssertionError, match="is replaced"):
        getattr(Server().engine, name)()


def test_a_change_is_in_force_from_its_entry_on_and_taken_back_with_it() -> None:
    """Mutation: `_cut` leaves the configurations alone."""
    server = Server()
    server.hear(AppendEntries("b", 1, 1, 1, 1, 0, 1, [(encode_configuration(FOUR), 2, 1)]))
    assert server.engine.voters == {"a", "b", "c", "d"}
    assert server.wire.servers.keys() == {"b", "c", "d"}
    server.hear(AppendEntries("c", 2, 1, 1, 1, 0, 1, [(b"\x01", 2, 2)]))
    assert server.engine.voters == {"a", "b", "c"}
    assert server.wire.servers.keys() == {"b", "c"}


def test_a_restart_finds_the_newest_one_in_the_log() -> None:
    entries: list[Any] = [(encode_configuration(FOUR), 2, 1), (encode_configuration(FOUR.without("b")), 3, 1)]
    server = Server(journal=journal_of(entries, term=1))
    assert server.engine.voters == {"a", "c", "d"}
    assert server.engine.configuration_at(2) == (2, FOUR)
    assert server.engine.configuration_at(1) == (1, THREE)
