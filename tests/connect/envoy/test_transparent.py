"""Transparent mode; the recorded resources hold the usual listener."""

from __future__ import annotations

import msgspec
from meshtest.envoyworld import chain_of, snapshot_of

from meshagent.connect.envoy.render import render
from meshagent.connect.snapshot import Cluster, Endpoint, Outbound, ProxySnapshot
from meshagent.connect.transparent import Transparent

LISTENER = "outbound_listener:127.0.0.1:15001"


def direct(name: str, virtual_ip: str, *endpoints: Endpoint) -> tuple[Outbound, dict[str, Cluster]]:
    chain = chain_of(name)
    (target,) = chain.targets.values()
    return Outbound(name, "", 0, chain=chain, virtual_ips=(virtual_ip,)), {
        target.id: Cluster(target, (f"spiffe://td/{name}",), endpoints)
    }


def transparent(*upstreams: tuple[Outbound, dict[str, Cluster]], mesh_only: bool = False) -> ProxySnapshot:
    clusters = {key: held for _, part in upstreams for key, held in part.items()}
    outbound = tuple(one for one, _ in upstreams)
    return msgspec.structs.replace(
        snapshot_of(), outbound=outbound, clusters=clusters, transparent=Transparent(mesh_only=mesh_only)
    )


def matches(snapshot: ProxySnapshot) -> list[tuple[str, int]]:
    chains = render(snapshot).listeners[LISTENER]["filter_chains"]
    found = [chain["filter_chain_match"] for chain in chains]
    return [(one["prefix_ranges"][0]["address_prefix"], one.get("destination_port", 0)) for one in found]


def test_a_service_may_dial_itself_by_its_virtual_address() -> None:
    assert matches(transparent(direct("web", "240.0.0.1"))) == [("240.0.0.1", 0)]


def test_services_of_one_host_are_told_apart_by_their_ports() -> None:
    one = Endpoint("a", "n", "10.0.0.1", 21000, direct_port=80)
    other = Endpoint("b", "n", "10.0.0.1", 21001, direct_port=81)
    alone = Endpoint("c", "m", "10.0.0.2", 21000, direct_port=80)
    snapshot = transparent(direct("a", "240.0.0.1", one, alone), direct("b", "240.0.0.2", other))
    assert matches(snapshot) == [
        ("240.0.0.1", 0), ("240.0.0.2", 0), ("10.0.0.1", 80), ("10.0.0.2", 0), ("10.0.0.1", 81),
    ]  # fmt: skip
    assert "passthrough~a.default.dc1.internal.td" in render(snapshot).clusters


def test_two_chains_never_have_the_same_match() -> None:
    same = Endpoint("a", "n", "10.0.0.1", 21000, direct_port=80)
    snapshot = transparent(direct("a", "240.0.0.1", same), direct("b", "240.0.0.2", same))
    assert len(set(matches(snapshot))) == len(matches(snapshot))


def test_a_service_outside_is_known_by_address_or_name_at_its_port() -> None:
    one, clusters = direct("db", "240.0.0.1")
    outside = (("10.9.9.9", 5432), ("db.example", 5432), ("10.9.9.9", 5432))
    listener = render(transparent((msgspec.structs.replace(one, outside=outside), clusters))).listeners[LISTENER]
    assert [chain["filter_chain_match"] for chain in listener["filter_chains"][1:]] == [
        {"prefix_ranges": [{"address_prefix": "10.9.9.9", "prefix_len": 32}], "destination_port": 5432},
        {"server_names": ["db.example"], "destination_port": 5432},
    ]
    filters = [one["name"].rpartition(".")[2] for one in listener["listener_filters"]]
    assert filters == ["original_dst", "tls_inspector"]


def test_nothing_to_take_and_nowhere_to_go_is_no_listener() -> None:
    assert LISTENER not in render(transparent(mesh_only=True)).listeners
    assert "filter_chains" in render(transparent()).listeners[LISTENER]
