"""Thresholds of active checks, and what they do to traffic."""

from __future__ import annotations

from meshtest.clusters import World, endpoints, hosts

from meshagent.connect.proxy.cluster.active_checks import answered
from meshagent.connect.resilience import ActiveCheck, Resilience

CHECK = ActiveCheck(healthy=2, unhealthy=3)


def test_the_first_answer_decides_and_then_thresholds_do() -> None:
    (host,) = hosts(1)
    assert answered(host, CHECK, False)
    assert not host.check_passes
    assert [answered(host, CHECK, True) for _ in range(2)] == [False, True]
    assert [answered(host, CHECK, good) for good in (False, False, True, False, False, False)] == [False] * 5 + [True]
    (good,) = hosts(1)
    assert not answered(good, CHECK, True)
    assert [answered(good, CHECK, False) for _ in range(3)] == [False, False, True]


def test_traffic_leaves_and_comes_back() -> None:
    world = World(check=CHECK)
    world.update(endpoints(2))
    world.cluster.checked(world.host(0), False)
    assert world.picks(10) == {"10.0.0.1:80": 10}
    world.cluster.checked(world.host(0), True)
    world.cluster.checked(world.host(0), True)
    assert world.picks(10) == {"10.0.0.0:80": 5, "10.0.0.1:80": 5}
    assert [what for what, _ in world.events] == ["check fails", "check passes"]


def test_without_checks_nobody_fails_them() -> None:
    world = World(check=CHECK)
    world.update(endpoints(1))
    world.cluster.checked(world.host(0), False)
    assert world.cluster.pick() is None
    world.settings = type(world.settings)(world.settings.row, resilience=Resilience())
    world.update(endpoints(1))
    assert world.cluster.pick() is world.host(0)
    world.cluster.checked(world.host(0), False)
    assert world.cluster.pick() is world.host(0)
