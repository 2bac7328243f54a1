"""Instances that took no connections are dialled again until they do."""

from __future__ import annotations

import random

from meshtest.clusters import World, endpoints

from meshagent.clock import Tasks, VirtualClock
from meshagent.connect.proxy.cluster.cluster import CONNECT_FAILED, Cluster
from meshagent.connect.proxy.cluster.host import Host
from meshagent.connect.proxy.reprober import LONGEST_S, Reprober
from meshagent.connect.resilience import Ejection


class Some:
    """`Clusters` with one cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def all(self) -> list[tuple[str, Cluster]]:
        return [("here", self.cluster)]


class Dialled:
    def __init__(self, base_s: float = 30.0) -> None:
        self.world = World(ejection=Ejection(max_ejection_percent=50, base_ejection_s=base_s))
        self.world.update(endpoints(2))
        self.world.now = 0.0
        self.clock, self.tasks = VirtualClock(), Tasks()
        self.dials: list[float] = []
        self.listens = False
        self.reprober = Reprober(
            Some(self.world.cluster),  # type: ignore[arg-type]
            self.takes,
            self.clock,
            random.Random(1),
            self.tasks,
        )

    async def takes(self, host: Host) -> bool:
        self.dials.append(self.clock.monotonic())
        return self.listens

    def eject(self, outcome: int = CONNECT_FAILED) -> Host:
        self.world.fail(0, 5, outcome)
        self.reprober.look()
        self.reprober.look()
        return self.world.host(0)


async def test_it_is_back_soon_after_it_listens() -> None:
    one = Dialled()
    host = one.eject()
    await one.clock.advance(8.0)
    assert host.ejected
    pauses = [after - before for before, after in zip([0.0, *one.dials], one.dials, strict=False)]
    assert pauses[0] < 0.4
    assert max(pauses) <= 1.2 * LONGEST_S
    one.listens = True
    await one.clock.advance(1.2 * LONGEST_S)
    assert not host.ejected
    dials = len(one.dials)
    await one.clock.advance(60.0)
    assert len(one.dials) == dials


async def test_one_that_answers_with_errors_is_left_alone() -> None:
    one = Dialled()
    assert one.eject(500).ejected
    await one.clock.advance(20.0)
    assert one.dials == []


async def test_it_ends_with_the_ejection_and_with_the_instance() -> None:
    one = Dialled(base_s=5.0)
    one.eject()
    await one.clock.advance(60.0)
    assert max(one.dials) <= 5.0
    two = Dialled()
    two.eject()
    two.world.update(endpoints(2)[1:])
    await two.clock.advance(60.0)
    assert two.dials == []
