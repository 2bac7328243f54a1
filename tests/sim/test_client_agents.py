"""The whole stack with client agents on it: what they write through whichever server answers is done once, in their
order, and never lost once they were told; what they read is never older than what was known.

`make soak-stack` runs for as long as one asks.
"""

from __future__ import annotations

import pytest
from meshtest.sim.nemesis import PROFILES
from meshtest.sim.scenario import run_seed

REGRESSIONS: list[tuple[int, str]] = [
    # (seed, what it found)
    (42008, "writes that failed one by one were put back the wrong way round: a late one was done before an early one"),
]

SEEDS = len(PROFILES)  # 0.5 s each


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "agents_seed" in metafunc.fixturenames:
        one = metafunc.config.getoption("--seed")
        metafunc.parametrize("agents_seed", range(SEEDS) if one is None else [one])


def test_a_seed_holds(agents_seed: int, profile: str | None) -> None:
    outcome = run_seed(agents_seed, profile=profile, stack=True, agents=2)
    assert outcome.facts["agent runs"] >= 2
    assert outcome.facts["acknowledged"] > 0


@pytest.mark.parametrize(("number", "found"), REGRESSIONS)
def test_what_was_once_broken_holds(number: int, found: str) -> None:
    run_seed(number, stack=True, agents=2)


def test_agents_fail_over_and_are_told() -> None:
    facts: dict[str, float] = {}
    for number in (1, 5):
        for name, count in run_seed(number, profile="streams", stack=True, agents=2).facts.items():
            facts[name] = facts.get(name, 0) + count
    assert facts["agent runs"] > 4
    assert facts["agent writes"] > 50
    assert facts["agent reads"] > 20


def test_the_same_seed_is_the_same_history() -> None:
    first, second = (run_seed(3, stack=True, agents=2) for _ in range(2))
    assert first.trace == second.trace
    assert first.facts == second.facts
