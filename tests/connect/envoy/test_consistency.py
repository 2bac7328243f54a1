"""Whatever is registered and configured: the resources are Envoy's, and everything that one of them names is there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from meshtest.meshdraws import sidecars

from meshagent.connect.envoy import wire
from meshagent.connect.envoy.render import render
from meshagent.connect.envoy.resources import ORDER, Resources
from meshagent.connect.snapshot import ProxySnapshot


def inside(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for part in value.values():
            yield from inside(part)
    elif isinstance(value, list):
        for part in value:
            yield from inside(part)


def named_clusters(resources: Resources) -> set[str]:
    found: set[str] = set()
    for part in inside([resources.listeners, resources.routes]):
        if isinstance(part.get("cluster"), str):
            found.add(part["cluster"])
        found |= {one["name"] for one in part.get("weighted_clusters", {}).get("clusters", ())}
    for part in inside(resources.clusters):
        if part.get("@type", "").endswith("aggregate.v3.ClusterConfig"):
            found |= set(part["clusters"])
    return found


@settings(max_examples=60, deadline=None)
@given(sidecars(), st.sets(st.integers(0, 9)))
def test_what_is_named_is_there(snapshot: ProxySnapshot, hidden: set[int]) -> None:
    """Also where the token of the proxy may not see some of it."""
    kept = {key: one for at, (key, one) in enumerate(snapshot.clusters.items()) if at not in hidden}
    snapshot = msgspec.structs.replace(snapshot, clusters=kept)
    resources = render(snapshot)
    for type_url in ORDER:
        for name, resource in resources.of(type_url).items():
            assert resource.get("name", resource.get("cluster_name")) == name
            wire.encode(resource, type_url)
    assert named_clusters(resources) <= set(resources.clusters)
    told = {name for name, cluster in resources.clusters.items() if cluster.get("type") == "EDS"}
    assert set(resources.endpoints) == told
    rds = {part["rds"]["route_config_name"] for part in inside(resources.listeners) if "rds" in part}
    assert rds == set(resources.routes)
    places = [json.dumps(one["address"]) for one in resources.listeners.values()]
    assert len(places) == len(set(places))
    for listener in resources.listeners.values():
        matches = [json.dumps(chain.get("filter_chain_match", {})) for chain in listener["filter_chains"]]
        assert len(matches) == len(set(matches))
    assert render(snapshot) == resources
