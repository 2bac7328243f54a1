"""A server alone has a transport that sends nothing and knows nobody."""

from __future__ import annotations

import pytest

from meshagent.catalog.raft.messages import TimeoutNow
from meshagent.catalog.raft.transport import Alone, Transport


def test_it_is_a_transport_without_connections() -> None:
    transport: Transport = Alone()
    transport.attach(lambda *_: None, lambda _: None)
    transport.set_servers({})
    assert not transport.connected("b")
    assert transport.epoch("b") == 0


def test_it_takes_no_peers_and_sends_nothing() -> None:
    with pytest.raises(AssertionError, match="a server alone"):
        Alone().set_servers({"b": "b:8300"})
    with pytest.raises(AssertionError, match="a server alone"):
        Alone().send("b", TimeoutNow("a", 1, 0))
