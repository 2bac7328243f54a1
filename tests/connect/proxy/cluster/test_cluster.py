"""A cluster: failover, panic, tries, updates that keep what was seen."""

from __future__ import annotations

import msgspec
import pytest
from meshtest.clusters import World, endpoints

from meshagent.connect.proxy.cluster.cluster import CONNECT_FAILED
from meshagent.connect.proxy.cluster.table import POLICIES
from meshagent.connect.resilience import Ejection
from meshagent.connect.snapshot import Endpoint

ALL_OUT = Ejection(max_ejection_percent=100)


def elsewhere(count: int) -> list[Endpoint]:
    return [Endpoint(f"b{at}", "n", f"10.9.0.{at}", 80) for at in range(count)]


def test_nobody_is_there() -> None:
    world = World()
    assert world.cluster.pick() is None
    world.update([], [])
    assert world.cluster.pick() is None


def test_the_next_priority_takes_over_when_the_first_is_out_and_gives_back() -> None:
    world = World(ejection=ALL_OUT)
    world.update(endpoints(2), elsewhere(2))
    assert {key[:6] for key in world.picks(50)} == {"10.0.0"}
    world.fail(0, 5)
    world.fail(1, 5)
    assert {key[:6] for key in world.picks(50)} == {"10.9.0"}
    world.now += 31.0
    assert {key[:6] for key in world.picks(50)} == {"10.0.0"}


def test_part_of_the_traffic_goes_over_when_part_is_out() -> None:
    world = World(ejection=ALL_OUT)
    world.update(endpoints(4), elsewhere(4))
    for number in (0, 1):
        world.fail(number, 5)
    found = world.picks(10_000)
    over = sum(count for key, count in found.items() if key.startswith("10.9"))
    assert 0.27 < over / 10_000 < 0.33, "50 % usable take 70 %"


def test_when_all_are_out_nobody_is_picked_unless_panic_is_wanted() -> None:
    world = World(ejection=ALL_OUT)
    world.update(endpoints(2))
    for number in (0, 1):
        world.fail(number, 5)
    assert world.cluster.pick() is None
    panicking = World(ejection=ALL_OUT, panic_percent=50.0)
    panicking.update(endpoints(2))
    for number in (0, 1):
        panicking.fail(number, 5)
    assert set(panicking.picks(10)) == {"10.0.0.0:80", "10.0.0.1:80"}


@pytest.mark.parametrize("policy", POLICIES)
def test_a_second_try_goes_to_another_one(policy: str) -> None:
    world = World(policy)
    world.update(endpoints(3), elsewhere(1))
    tried = []
    for _ in range(4):
        host = world.cluster.pick(42, tried)
        assert host is not None
        assert host not in tried
        tried.append(host)
    assert tried[-1].key == "10.9.0.0:80", "the failover target comes last"
    assert world.cluster.pick(42, tried) in tried, "the same one is better than none"


def test_a_hash_has_one_second_choice() -> None:
    world = World("ring_hash")
    world.update(endpoints(10))
    first = world.cluster.pick(42)
    assert first is not None
    assert len({world.cluster.pick(42, [first]) for _ in range(20)}) == 1


def test_an_update_keeps_what_was_seen() -> None:
    world = World(ejection=ALL_OUT)
    world.update(endpoints(3))
    world.fail(0, 5)
    kept = world.host(0)
    kept.pool = "mine"
    heavier = [msgspec.structs.replace(one, weight=7) for one in endpoints(2)]
    (left,) = world.update(heavier)
    assert (left.key, left.gone) == ("10.0.0.2:80", True)
    assert world.host(0) is kept
    assert (kept.pool, kept.ejected, kept.weight) == ("mine", True, 7)
    assert set(world.picks(10)) == {"10.0.0.1:80"}


def test_an_instance_that_is_named_twice_is_one() -> None:
    world = World()
    world.update(endpoints(2), endpoints(2))
    assert len(world.cluster.hosts) == 2


def test_requests_without_a_hash_are_spread_by_hash_policies_too() -> None:
    for policy in ("ring_hash", "maglev"):
        world = World(policy)
        world.update(endpoints(4))
        assert len(world.picks(400)) == 4
        assert len(world.picks(400, lambda _: 7)) == 1


def test_latency_is_told_to_who_wants_it() -> None:
    world = World("peak_ewma")
    world.update(endpoints(2))
    world.cluster.result(world.host(0), 200, 3.0)
    world.cluster.result(world.host(1), 200, 0.001)
    assert world.picks(20) == {"10.0.0.1:80": 20}
    assert World("random").cluster.settings.row.observe is None


def test_a_refused_connection_is_a_failure() -> None:
    world = World()
    world.update(endpoints(2))
    world.fail(0, 5, CONNECT_FAILED)
    assert world.host(0).failed == world.host(0).requests == 5
    assert world.host(0).ejected


def test_a_snapshot_with_other_news_makes_no_new_table() -> None:
    world = World("maglev")
    world.update(endpoints(5))
    world.cluster.pick()
    table = world.cluster._only
    world.update(endpoints(5))
    world.cluster.pick()
    assert world.cluster._only is table
    world.update([msgspec.structs.replace(one, weight=2) for one in endpoints(5)])
    world.cluster.pick()
    assert world.cluster._only is not table
