"""From a snapshot to clusters (surface rows M24, M25, M43)."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from meshagent.catalog.entries.entry import Entry
from meshagent.catalog.entries.graph import Lookup
from meshagent.catalog.entries.table import parse
from meshagent.catalog.model import Upstream
from meshagent.connect.chain import Chain, compile_chain
from meshagent.connect.proxy.cluster.clusters import Clusters, settings_of, weighted_nodes
from meshagent.connect.snapshot import Cluster, Endpoint, ProxySnapshot, outbound_of

HTTP = [{"Kind": "service-defaults", "Name": name, "Protocol": "http"} for name in "abc"]
KEY = "127.0.0.1:1"


def chain_of(*raws: dict[str, Any]) -> Chain:
    entries: dict[tuple[str, str], Entry] = {(one.kind, one.name): one for one in map(parse, raws)}
    return compile_chain(Lookup(lambda k, n: entries.get((k, n)), lambda k: []), "a", "dc1", "td.consul")


def world(
    *raws: dict[str, Any], config: dict[str, Any] | None = None, place: str = "", **endpoints: list[Endpoint]
) -> ProxySnapshot:
    """A snapshot with one upstream `a`; `endpoints` by service."""
    chain = chain_of(*raws)
    clusters = {
        key: Cluster(target, (), tuple(endpoints.get(target.service, ()))) for key, target in chain.targets.items()
    }
    upstream = outbound_of(Upstream(destination_name="a", local_bind_port=1, config=config), chain)
    return ProxySnapshot(
        "p", "web", "dc1", "td", True, "", outbound=(upstream,), clusters=clusters, region=place, zone=""
    )


def instance(name: str, weight: int = 1, region: str = "") -> Endpoint:
    return Endpoint(name, "n", f"10.0.0.{ord(name[0])}{name[1:]}", 1, weight=weight, region=region)


def clusters(snapshot: ProxySnapshot) -> Clusters:
    made = Clusters(lambda: 0.0, random.Random(7))
    made.update(snapshot)
    return made


def drawn(made: Clusters, times: int = 4000) -> Counter[str]:
    found: Counter[str] = Counter()
    for _ in range(times):
        cluster = made.drawn(KEY)
        host = cluster.pick() if cluster is not None else None
        found[host.endpoint.id if host is not None else ""] += 1
    return found


def test_splits_and_weights_decide() -> None:
    splits = {"Kind": "service-splitter", "Name": "a", "Splits": [{"Weight": 90}, {"Weight": 10, "Service": "b"}]}
    found = drawn(clusters(world(*HTTP, splits, a=[instance("a1"), instance("a2", 3)], b=[instance("b1")])))
    assert 300 < found["b1"] < 500
    assert 2.9 < found["a2"] / found["a1"] < 3.1


def test_the_first_target_with_instances_is_taken() -> None:
    targets = {"*": {"Targets": [{"Service": "b"}, {"Service": "c"}]}}
    failover = {"Kind": "service-resolver", "Name": "a", "Failover": targets}
    assert drawn(clusters(world(failover, c=[instance("c1")])), times=10) == {"c1": 10}
    both = clusters(world(failover, a=[instance("a1")], c=[instance("c1")]))
    assert drawn(both, times=10) == {"a1": 10}
    assert drawn(clusters(world(failover)), times=1) == {"": 1}


def test_an_upstream_without_a_chain_has_none() -> None:
    broken = outbound_of(Upstream(destination_name="x"), None, "why")
    made = clusters(ProxySnapshot("p", "w", "dc1", "td", True, "", outbound=(broken,)))
    assert made.drawn(broken.key) is None
    assert made.all() == []


def test_shares_of_connections() -> None:
    chain = chain_of(
        *HTTP,
        {"Kind": "service-splitter", "Name": "a", "Splits": [{"Weight": 90}, {"Weight": 10, "Service": "b"}]},
        {"Kind": "service-router", "Name": "a", "Routes": [{"Destination": {"Service": "c"}}]},
    )
    assert weighted_nodes(chain) == [
        (90.0, "resolver:a.default.default.dc1"),
        (10.0, "resolver:b.default.default.dc1"),
    ]


def test_a_resolver_says_how_and_an_upstream_may_say_otherwise() -> None:
    ring = {"Kind": "service-resolver", "Name": "a", "LoadBalancer": {"Policy": "ring_hash", "RingHashConfig": {
        "MinimumRingSize": 64, "MaximumRingSize": 128}, "HashPolicies": [{"SourceIP": True}]}}  # fmt: skip
    snapshot = world(*HTTP, ring)
    node: Any = next(iter(snapshot.outbound[0].chain.nodes.values()))  # type: ignore[union-attr]
    settings = settings_of(node, snapshot.outbound[0])
    assert (settings.row.name, settings.choosing.minimum_ring_size, settings.choosing.maximum_ring_size) == (
        "ring_hash", 64, 128)  # fmt: skip
    assert settings.hash_policies[0].source_ip
    ours = world(*HTTP, ring, config={"load_balancing_policy": "peak_ewma", "slow_start_window": "5s"})
    settings = settings_of(node, ours.outbound[0])
    assert (settings.row.name, settings.choosing.slow_start_s) == ("peak_ewma", 5.0)
    plain = world()
    node = next(iter(plain.outbound[0].chain.nodes.values()))  # type: ignore[union-attr]
    assert settings_of(node, plain.outbound[0]).row.name == "round_robin"


def test_near_instances_come_first_when_the_resolver_wants_it() -> None:
    nearer = {"Kind": "service-resolver", "Name": "a", "PrioritizeByLocality": {"Mode": "failover"}}
    both = [instance("a1", region="us"), instance("a2", region="eu")]
    assert drawn(clusters(world(nearer, place="eu", a=both)), times=10) == {"a2": 10}
    assert drawn(clusters(world(nearer, place="asia", a=both)), times=10) == {"a1": 5, "a2": 5}
    assert drawn(clusters(world(place="eu", a=both)), times=10) == {"a1": 5, "a2": 5}
    everyone = {"Kind": "proxy-defaults", "Name": "global", "PrioritizeByLocality": {"Mode": "failover"}}
    assert drawn(clusters(world(everyone, place="eu", a=both)), times=10) == {"a2": 10}


def test_hosts_survive_a_snapshot_and_those_that_left_are_told() -> None:
    http = {"Kind": "service-defaults", "Name": "a", "Protocol": "http"}
    pools: list[str] = []
    made = Clusters(lambda: 0.0, random.Random(7), pool_of=lambda host, *_: pools.append(host.key))
    made.update(world(http, a=[instance("a1"), instance("a2")]))
    ((_, cluster),) = made.all()
    before = cluster.hosts
    left = made.update(world(http, a=[instance("a2"), instance("a3")]))
    assert [host.endpoint.id for host in left] == ["a1"]
    assert cluster is made.of(KEY, "resolver:a.default.default.dc1")
    assert cluster.hosts[0] is before[1]
    assert len(pools) == 3
    gone = made.update(ProxySnapshot("p", "web", "dc1", "td", True, ""))
    assert {host.endpoint.id for host in gone} == {"a2", "a3"}
    assert all(host.gone for host in gone)
    assert made.of(KEY, "resolver:a.default.default.dc1") is None
