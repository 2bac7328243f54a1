from __future__ import annotations

import pytest
from meshtest.httpapi import instance

from meshagent.agent.rpc.registering import checked_command
from meshagent.catalog import commands
from meshagent.catalog.model import Check, CoordinateRow, Node
from meshagent.errors import Denied, RemoteProtocolError


@pytest.mark.parametrize(
    "command",
    [
        instance("N1", "web"),
        commands.Deregister("n1", service_id="web"),
        commands.CoordinateBatch((CoordinateRow(node="n1"),)),
    ],
)
def test_what_concerns_its_own_node_is_taken(command: commands.Command) -> None:
    assert checked_command(commands.encode(command), "n1") == command


@pytest.mark.parametrize(
    "command",
    [
        instance("n2", "web"),
        commands.Register(Node(name="n1"), None, (Check(node="n2", check_id="c"),)),
        commands.Deregister("n2"),
        commands.CoordinateBatch((CoordinateRow(node="n1"), CoordinateRow(node="n2"))),
        commands.KVSet("a", b"b"),
        commands.ReapTombstones(5),
    ],
)
def test_everything_else_is_denied(command: commands.Command) -> None:
    with pytest.raises(Denied):
        checked_command(commands.encode(command), "n1")


def test_garbage_is_refused() -> None:
    with pytest.raises(RemoteProtocolError):
        checked_command(b"\xc1", "n1")
