"""Which instance a connection goes to (surface rows M24, M25, M43)."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from meshagent.catalog.entries.entry import Entry
from meshagent.catalog.entries.graph import Lookup
from meshagent.catalog.entries.table import parse
from meshagent.catalog.model import Upstream
from meshagent.connect.chain import compile_chain
from meshagent.connect.proxy.pick import candidates
from meshagent.connect.snapshot import Cluster, Endpoint, ProxySnapshot, outbound_of

HTTP = [{"Kind": "service-defaults", "Name": name, "Protocol": "http"} for name in "abc"]


def world(*raws: dict[str, Any], **endpoints: list[Endpoint]) -> tuple[ProxySnapshot, Any]:
    """A snapshot with one upstream `a`; `endpoints` by service."""
    entries: dict[tuple[str, str], Entry] = {(one.kind, one.name): one for one in map(parse, raws)}
    chain = compile_chain(Lookup(lambda k, n: entries.get((k, n)), lambda k: []), "a", "dc1", "td.consul")
    clusters = {
        key: Cluster(target, (), tuple(endpoints.get(target.service, ()))) for key, target in chain.targets.items()
    }
    upstream = outbound_of(Upstream(destination_name="a", local_bind_port=1), chain)
    return ProxySnapshot("p", "web", "dc1", "td", True, "", outbound=(upstream,), clusters=clusters), upstream


def instance(name: str, weight: int = 1) -> Endpoint:
    return Endpoint(name, "n", "10.0.0.1", 1, weight=weight)


def drawn(snapshot: ProxySnapshot, upstream: Any, times: int = 4000) -> Counter[str]:
    rng = random.Random(7)
    return Counter(candidates(snapshot, upstream, rng)[0][1].id for _ in range(times))


def test_splits_and_weights_decide() -> None:
    splits = {"Kind": "service-splitter", "Name": "a", "Splits": [{"Weight": 90}, {"Weight": 10, "Service": "b"}]}
    found = drawn(*world(*HTTP, splits, a=[instance("a1"), instance("a2", 3)], b=[instance("b1")]))
    assert 300 < found["b1"] < 500
    assert 2.5 < found["a2"] / found["a1"] < 3.5


def test_the_first_target_with_instances_is_taken() -> None:
    failover = {
        "Kind": "service-resolver",
        "Name": "a",
        "Failover": {"*": {"Targets": [{"Service": "b"}, {"Service": "c"}]}},
    }
    assert drawn(*world(failover, c=[instance("c1")]), times=10) == {"c1": 10}
    assert drawn(*world(failover, a=[instance("a1")], c=[instance("c1")]), times=10) == {"a1": 10}
    assert candidates(*world(failover), random.Random(1)) == []


def test_others_follow_when_one_fails_each_once() -> None:
    snapshot, upstream = world(a=[instance(f"a{number}") for number in range(5)])
    tried = [endpoint.id for _, endpoint in candidates(snapshot, upstream, random.Random(1))]
    assert len(tried) == len(set(tried)) == 3


def test_an_upstream_without_a_chain_has_none() -> None:
    broken = outbound_of(Upstream(destination_name="x"), None, "why")
    assert candidates(ProxySnapshot("p", "w", "dc1", "td", True, ""), broken, random.Random(1)) == []
