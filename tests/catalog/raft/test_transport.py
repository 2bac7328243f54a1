"""A server alone has a transport that is ready, sends nothing and knows nobody."""

from __future__ import annotations

import pytest

from meshagent.catalog.raft.seams import Node
from meshagent.catalog.raft.transport import Alone


def test_it_is_ready_and_sends_nothing() -> None:
    transport = Alone()
    assert transport.ready
    assert transport.send(Node("b"), {"type": "append_entries"}) is False
    transport.destroy()


@pytest.mark.parametrize("method", ["addNode", "dropNode"])
def test_it_takes_no_peers(method: str) -> None:
    with pytest.raises(AssertionError, match="a server alone has no peers"):
        getattr(Alone(), method)(Node("b"))
