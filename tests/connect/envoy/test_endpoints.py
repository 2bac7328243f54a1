"""Instances of a cluster."""

from __future__ import annotations

import msgspec

from meshagent.connect.envoy.endpoints import assignment
from meshagent.connect.peers import peer_chain
from meshagent.connect.snapshot import Cluster, Endpoint

TARGET = next(iter(peer_chain("api", "east", "dc1", "tcp", "td", "5s").targets.values()))


def test_weights_and_health() -> None:
    good = Endpoint("a", "n1", "10.0.0.1", 1, "warning", 900)
    cluster = Cluster(TARGET, (), (good,), (Endpoint("b", "n2", "10.0.0.2", 2, "critical"),))
    (group,) = assignment("x", cluster)["endpoints"]
    first, second = group["lb_endpoints"]
    assert (first["health_status"], first["load_balancing_weight"]) == ("HEALTHY", 128)
    assert (second["health_status"], second["load_balancing_weight"]) == ("UNHEALTHY", 1)


def test_nearer_ones_first_where_it_is_wanted() -> None:
    target = msgspec.structs.replace(TARGET, prioritize_by_locality="failover")
    far = Endpoint("a", "n1", "10.0.0.1", 1, region="r2", zone="z")
    near = Endpoint("b", "n2", "10.0.0.2", 2, region="r1", zone="z1")
    found = assignment("x", Cluster(target, (), (far, near)), "r1", "z1")["endpoints"]
    assert [group.get("priority", 0) for group in found] == [0, 1]
    assert found[0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]["address"] == "10.0.0.2"


def test_nobody_is_no_group() -> None:
    assert assignment("x", Cluster(TARGET, ())) == {"cluster_name": "x"}
