"""Who is left alone, how long, and how many at most (Envoy's rules)."""

from __future__ import annotations

import math

from meshtest.clusters import World, endpoints

from meshagent.connect.proxy.cluster.cluster import CONNECT_FAILED, RESET, TIMED_OUT
from meshagent.connect.resilience import Ejection

FOUR = {"max_ejection_percent": 50, "base_ejection_s": 30.0}


def world(count: int = 4, **settings: float) -> World:
    made = World(ejection=Ejection(**{**FOUR, **settings}))  # type: ignore[arg-type]
    made.update(endpoints(count))
    return made


def test_failures_in_a_row_eject_and_an_answer_between_does_not() -> None:
    one = world()
    one.fail(0, 4)
    one.cluster.result(one.host(0), 200, 0.01)
    one.fail(0, 4)
    assert not one.host(0).ejected
    one.fail(0, 1)
    assert one.host(0).ejected
    assert one.events == [("ejected", "10.0.0.0:80")]
    assert "10.0.0.0:80" not in one.picks(100)


def test_connections_that_fail_count_too() -> None:
    for outcome in (CONNECT_FAILED, TIMED_OUT, RESET):
        one = world()
        one.fail(1, 5, outcome)
        assert one.host(1).ejected


def test_it_comes_back_when_its_time_is_over_and_stays_away_longer_each_time() -> None:
    one = world()
    one.fail(0, 5)
    one.now += 29.9
    assert "10.0.0.0:80" not in one.picks(8)
    one.now += 0.2
    assert one.picks(8)["10.0.0.0:80"] == 2
    one.fail(0, 5)
    assert one.host(0).ejected_until == one.now + 60.0
    one.now += 60.0
    one.picks(1)
    one.now += 10.0  # intervals without an ejection count back
    one.picks(1)
    one.now += 10.0
    one.picks(1)
    one.fail(0, 5)
    assert one.host(0).ejected_until == one.now + 30.0


def test_the_longest_time() -> None:
    one = world(base_ejection_s=100.0, max_ejection_s=250.0)
    for wanted in (100.0, 200.0, 250.0):
        one.fail(0, 5)
        assert one.host(0).ejected_until == one.now + wanted
        one.host(0).ejected_until = one.now  # back at once: no interval passes
        one.cluster.outliers.sweep_at = math.inf
        one.now += 1e-6
        one.cluster._due = -math.inf
        one.picks(1)


def test_never_more_than_the_highest_percentage() -> None:
    one = world()
    for number in range(4):
        one.fail(number, 5)
    assert sum(host.ejected for host in one.cluster.hosts) == 2
    assert one.cluster.outliers.overflow == 2
    assert len(one.picks(100)) == 2


def test_one_of_several_may_always_go_but_not_the_only_one() -> None:
    few = world(count=2, max_ejection_percent=10)
    few.fail(0, 5)
    few.fail(1, 5)
    assert [host.ejected for host in few.cluster.hosts] == [True, False]
    alone = world(count=1, max_ejection_percent=99)
    alone.fail(0, 50)
    assert not alone.host(0).ejected
    never = world(max_ejection_percent=0)
    never.fail(0, 50)
    assert not never.host(0).ejected


def test_enforcing_is_a_chance() -> None:
    ejected = 0
    for seed in range(200):
        one = world(enforcing_consecutive_5xx=30)
        one.rng.seed(seed)
        one.fail(0, 5)
        ejected += one.host(0).ejected
    assert 40 < ejected < 80


def test_gateway_failures_have_a_count_of_their_own() -> None:
    one = world(consecutive_5xx=100, consecutive_gateway_failure=3, enforcing_consecutive_gateway_failure=100)
    one.fail(0, 2, 503)
    one.fail(0, 1, 500)  # the application answers: no gateway failure
    one.fail(0, 2, 502)
    assert not one.host(0).ejected
    one.fail(0, 1, 504)
    assert one.host(0).ejected
    assert one.cluster.outliers.ejected_gateway == 1


def test_a_low_success_rate_beside_others_ejects() -> None:
    one = world(count=6, consecutive_5xx=1000)
    for number in range(6):
        for at in range(200):
            bad = number == 5 and at % 2
            one.cluster.result(one.host(number), 500 if bad else 200, 0.01)
    one.now += 10.0
    one.picks(1)
    assert [host.ejected for host in one.cluster.hosts] == [False] * 5 + [True]
    assert one.cluster.outliers.ejected_success_rate == 1


def test_too_few_requests_or_hosts_say_nothing() -> None:
    for count, requests in ((6, 50), (4, 200)):
        one = world(count=count, consecutive_5xx=1000)
        for number in range(count):
            for at in range(requests):
                one.cluster.result(one.host(number), 500 if number == 0 and at % 2 else 200, 0.01)
        one.now += 10.0
        one.picks(1)
        assert not any(host.ejected for host in one.cluster.hosts)


def test_a_host_that_leaves_while_it_is_out_counts_no_more() -> None:
    one = world()
    one.fail(0, 5)
    one.fail(1, 5)
    one.update(endpoints(4)[2:])
    assert one.cluster.outliers.out == 0
    one.fail(0, 5)
    assert one.host(0).ejected


def test_one_that_took_no_connections_is_back_when_it_takes_one() -> None:
    one = world()
    one.fail(0, 5, CONNECT_FAILED)
    host = one.host(0)
    assert one.cluster.outliers.unreachable(host)
    one.cluster.reached(host)
    assert (host.ejected, host.ejections, one.cluster.outliers.out) == (False, 0, 0)
    assert one.events[-1] == ("returned", "10.0.0.0:80")
    assert "10.0.0.0:80" in one.picks(8)
    one.cluster.reached(host)
    assert one.cluster.outliers.out == 0


def test_one_that_answered_with_errors_stays_for_its_time() -> None:
    one = world()
    one.fail(0, 4, CONNECT_FAILED)
    one.fail(0, 1, 500)
    host = one.host(0)
    assert host.ejected
    assert not one.cluster.outliers.unreachable(host)
    one.cluster.reached(host)
    assert host.ejected


def test_an_answer_from_one_that_could_not_be_reached_brings_it_back() -> None:
    one = world(2, max_ejection_percent=100)
    one.fail(0, 5, CONNECT_FAILED)
    one.cluster.result(one.host(0), 200, 0.01)  # panic: those that are out are asked too
    assert not one.host(0).ejected
