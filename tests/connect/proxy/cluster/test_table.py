"""Every policy that a resolver may name has a row, and each keeps the promise."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meshtest.clusters import hosts

from meshagent.catalog.entries.service_resolver import LoadBalancer
from meshagent.connect.proxy.cluster.policy import Choosing
from meshagent.connect.proxy.cluster.table import DEFAULT, POLICIES, row_of


def test_every_policy_of_a_resolver_has_a_row() -> None:
    ours = {"peak_ewma"}
    allowed = {name for name in POLICIES if not LoadBalancer(policy=name).problem()}
    assert allowed == POLICIES.keys() - ours
    assert {"random", "round_robin", "least_request", "ring_hash", "maglev"} == allowed


def test_the_first_that_there_is() -> None:
    assert row_of("", "maglev") is POLICIES["maglev"]
    assert row_of("peak_ewma", "maglev") is POLICIES["peak_ewma"]
    assert row_of("no such", "") is DEFAULT


@pytest.mark.parametrize("name", POLICIES)
@given(weights=st.lists(st.integers(1, 65535), min_size=1, max_size=6), key=st.integers(0, 2**64 - 1))
def test_each_picks_one_of_its_hosts(name: str, weights: list[int], key: int) -> None:
    rng = random.Random(1)
    made = hosts(len(weights), *weights)
    policy = POLICIES[name].make(made, Choosing(), 0.0, rng)
    assert all(policy.pick(0.0, rng, key) in made for _ in range(5))
