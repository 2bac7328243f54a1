"""Clusters of a gateway: over EDS for addresses, by DNS for names (surface row M72)."""

from __future__ import annotations

import pytest
from meshtest.gateways import World

from meshagent.connect.envoy import by_name
from meshagent.connect.envoy.resources import Resources
from meshagent.connect.gateways.addresses import Bind


@pytest.mark.parametrize(
    ("address", "kind"), [("10.0.0.1", "EDS"), ("fd00::1", "EDS"), ("a.example.com", "LOGICAL_DNS")]
)
def test_names_are_looked_up_and_addresses_told(address: str, kind: str) -> None:
    world = World()
    world.ways("dc2", address)
    snapshot = world.build("mesh-gateway", "gw")
    found = Resources()
    by_name.add_cluster(found, snapshot, snapshot.clusters["dc2"], "http2", {"extra": True})
    (cluster,) = found.clusters.values()
    assert (cluster["type"], cluster["extra"], bool(found.endpoints)) == (kind, True, kind == "EDS")
    assert "typed_extension_protocol_options" in cluster


def test_a_listener_looks_at_names_first() -> None:
    snapshot = World().build("mesh-gateway", "gw")
    bind = Bind("wan", "::1", 443)
    found = by_name.listener(snapshot, bind, [by_name.everything_else(snapshot, "stat")], "")
    assert found["name"] == "wan:[::1]:443"
    assert found["listener_filters"][0]["name"] == "envoy.filters.listener.tls_inspector"
    assert "traffic_direction" not in found
