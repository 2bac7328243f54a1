"""Hosts, settings and a clock for the tests of clusters."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

from meshagent.catalog.entries.service_resolver import Subset
from meshagent.catalog.model import MeshGateway, TransparentProxy
from meshagent.connect.chain import Target
from meshagent.connect.proxy.cluster.cluster import Cluster, ClusterSettings
from meshagent.connect.proxy.cluster.host import Host
from meshagent.connect.proxy.cluster.policy import Choosing
from meshagent.connect.proxy.cluster.table import POLICIES
from meshagent.connect.resilience import Resilience
from meshagent.connect.snapshot import Cluster as ClusterRow
from meshagent.connect.snapshot import Endpoint


def target(name: str = "api", nearer: str = "") -> Target:
    id_ = f"{name}.default.default.dc1"
    return Target(
        id_, name, "", "dc1", "", "5s", MeshGateway(), Subset(), TransparentProxy(), False, f"{name}.sni", id_, nearer
    )


def row(name: str = "api") -> ClusterRow:
    return ClusterRow(target(name), ("spiffe://td/x",))


def endpoints(count: int, *weights: int) -> list[Endpoint]:
    """Instances at 10.0.0.1, 10.0.0.2, ..."""
    return [
        Endpoint(f"i{at}", "n", f"10.0.{at >> 8}.{at & 255}", 80, weight=weights[at] if weights else 1)
        for at in range(count)
    ]


def hosts(count: int, *weights: int) -> list[Host]:
    return [Host(row(), one, -1e9) for one in endpoints(count, *weights)]


class World:
    """One cluster with a clock that the test owns."""

    def __init__(self, policy: str = "round_robin", choosing: Choosing | None = None, **resilience: Any) -> None:
        self.now = 1000.0
        self.events: list[tuple[str, str]] = []
        self.rng = random.Random(7)
        self.settings = ClusterSettings(POLICIES[policy], choosing or Choosing(), resilience=Resilience(**resilience))
        self.cluster = Cluster(
            "api", self.settings, lambda: self.now, self.rng, lambda what, host, _: self.events.append((what, host.key))
        )

    def update(self, *groups: list[Endpoint]) -> list[Host]:
        return self.cluster.update([[(row(), one) for one in group] for group in groups], self.settings)

    def host(self, number: int) -> Host:
        return self.cluster.hosts[number]

    def picks(self, times: int, hash_key: Callable[[int], int | None] = lambda _: None) -> Counter[str]:
        found: Counter[str] = Counter()
        for at in range(times):
            host = self.cluster.pick(hash_key(at))
            found[host.key if host is not None else ""] += 1
        return found

    def fail(self, number: int, times: int, outcome: int = 500) -> None:
        for _ in range(times):
            self.cluster.result(self.host(number), outcome, 0.01)
