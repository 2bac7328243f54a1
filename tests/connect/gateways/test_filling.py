"""What a row of a kind gives."""

from __future__ import annotations

from meshagent.connect.gateways.filling import Filling


def test_a_kind_that_has_nothing_gives_nothing() -> None:
    filling = Filling()
    assert (filling.outbound, list(filling.targets), filling.gateway, filling.inbound) == ((), [], None, None)
