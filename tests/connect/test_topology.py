"""Neighbours in an empty catalog; what endpoints say is in tests/agent/http/test_internal.py."""

from __future__ import annotations

from meshagent.catalog.store import Store
from meshagent.connect.intentions import Default
from meshagent.connect.topology import Topology, gateway_intentions, topology


def test_a_service_that_is_not_there_has_no_neighbours() -> None:
    for kind in ("", "ingress-gateway"):
        assert topology(Store(), "web", kind, Default(True)) == Topology("tcp", False, (), ())
    assert gateway_intentions(Store(), "in") == []
