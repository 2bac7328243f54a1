"""Whatever goes wrong: one leader a term, one log, one state, nothing acknowledged lost, every read linearizable.

`pytest tests/sim --seed N` replays a failing seed; `python tests/sim/soak.py` runs for as long as one asks.
"""

from __future__ import annotations

import pytest
from meshtest.sim.mutations import broken_by
from meshtest.sim.scenario import run_seed

REGRESSIONS: list[tuple[int, str, str]] = [
    # (seed, profile, what it found)
    (18, "leases", "an engine that is halted with a backlog kept the loop busy for ever"),
    (5003, "partitions", "a leader that was deposed failed while it told who waited"),
]


def test_a_seed_holds(seed: int, profile: str | None) -> None:
    outcome = run_seed(seed, profile=profile)
    assert outcome.facts["acknowledged"] > 0


@pytest.mark.parametrize(("number", "what_goes_wrong", "found"), REGRESSIONS)
def test_what_was_once_broken_holds(number: int, what_goes_wrong: str, found: str) -> None:
    run_seed(number, profile=what_goes_wrong)


@pytest.mark.parametrize("number", [0, 3, 11])
def test_the_same_seed_is_the_same_history(number: int) -> None:
    first, second = run_seed(number), run_seed(number)
    assert first.trace == second.trace
    assert first.facts == second.facts
    assert first.trace != run_seed(number + 1).trace


@pytest.mark.parametrize("number", range(12))
def test_the_lease_alone_keeps_reads_linearizable(number: int) -> None:
    with broken_by("notices_nothing"):
        run_seed(number, profile="leases")


def test_the_seeds_do_what_they_are_for() -> None:
    facts: dict[str, float] = {}
    for number in range(14):
        for name, count in run_seed(number).facts.items():
            facts[name] = facts.get(name, 0) + count
    assert facts["leaders"] > 40
    assert facts["retried"] > 100
    assert min(facts["default"], facts["consistent"]) > 500
    assert facts["recovered_after"] < 14 * 2, "and all is well again within seconds"
