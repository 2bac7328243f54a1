from __future__ import annotations

import random

import pytest

from meshagent.agent.servers import Server, Servers

A, B, C = (Server(f"10.0.0.{n}:8300", f"id{n}") for n in range(3))


def servers(seed: int = 1, *given: Server) -> Servers:
    made = Servers(random.Random(seed))
    made.set(given or (A, B, C))
    return made


def test_agents_spread() -> None:
    firsts = [servers(seed).first for seed in range(300)]
    assert all(80 < firsts.count(server) < 120 for server in (A, B, C))


def test_one_that_fails_goes_to_the_end() -> None:
    made = servers()
    first, second, third = made.all
    made.failed(first)
    assert made.all == (second, third, first)
    made.failed(Server("unknown:1"))
    assert made.all == (second, third, first)


def test_the_one_in_use_comes_first() -> None:
    made = servers()
    last = made.all[-1]
    made.prefer(last)
    assert made.first == last


def test_what_stays_keeps_its_place() -> None:
    made = servers()
    first, _second, third = made.all
    assert not made.set((A, B, C))
    assert made.set((first, third))
    assert made.all == (first, third)
    new = Server("10.0.0.9:8300")
    assert made.set((first, third, new))
    assert made.first == first
    assert set(made.all) == {first, third, new}
    assert made.set(())
    assert made.first is None


def test_it_moves_after_two_minutes_and_by_the_size_of_the_cluster() -> None:
    made = servers()
    made.used(1000.0, members=3)
    assert not made.rebalance_due(1119.0)
    assert made.rebalance_due(1150.0)
    made.used(1000.0, members=100_000)  # 100,000 / (64 * 3) = 521 s
    assert not made.rebalance_due(1520.0)
    assert made.rebalance_due(1521.0)


def test_a_rebalance_shuffles_and_says_where_to_go() -> None:
    made = servers()
    before = made.first
    targets = []
    for turn in range(60):
        made.prefer(before)  # type: ignore[arg-type]
        targets.append(made.rebalance(turn * 1000.0, 3))
    assert targets.count(None) > 5
    assert {target for target in targets if target} == {A, B, C} - {before}


def test_a_single_server_is_never_left() -> None:
    made = servers(1, A)
    made.used(0.0, 3)
    assert not made.rebalance_due(10_000.0)


def test_how_long_until_a_move() -> None:
    made = servers()
    made.used(1000.0, members=100_000)
    assert made.rebalance_in(1000.0, 600.0) == pytest.approx(100_000 / (64 * 3))
    assert made.rebalance_in(1000.0, 60.0) == 60.0
    assert made.rebalance_in(9999.0, 60.0) == 0.0
    assert servers(1, A).rebalance_in(0.0, 60.0) == 60.0
