"""The same with all that stands between a client and the log: every server takes writes and reads, over streams of
bytes that are cut into pieces, stall, break and are dialled again. A write whose answer was lost is asked for again
under its id and applies once; every read, wherever it is made, shows what was known when it was asked.

`python tests/sim/soak.py --stack` runs for as long as one asks.
"""

from __future__ import annotations

import pytest
from meshtest.sim.nemesis import PROFILES
from meshtest.sim.scenario import run_seed

REGRESSIONS: list[tuple[int, str, str]] = [
    # (seed, profile, what it found)
    (
        13,
        "disks",
        "a leader whose disk is the slowest let its followers show a write that its own reads did not show yet",
    ),
]


SEEDS = 2 * len(PROFILES)  # 0.3 s each


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "stack_seed" in metafunc.fixturenames:
        one = metafunc.config.getoption("--seed")
        metafunc.parametrize("stack_seed", range(SEEDS) if one is None else [one])


def test_a_seed_holds(stack_seed: int, profile: str | None) -> None:
    outcome = run_seed(stack_seed, profile=profile, stack=True)
    assert outcome.facts["acknowledged"] > 0


@pytest.mark.parametrize(("number", "what_goes_wrong", "found"), REGRESSIONS)
def test_what_was_once_broken_holds(number: int, what_goes_wrong: str, found: str) -> None:
    run_seed(number, profile=what_goes_wrong, stack=True)


def test_the_same_seed_is_the_same_history() -> None:
    first, second = run_seed(5, stack=True), run_seed(5, stack=True)
    assert first.trace == second.trace
    assert first.facts == second.facts


def test_streams_break_and_writes_are_asked_for_again() -> None:
    facts: dict[str, float] = {}
    for number in range(3):
        for name, count in run_seed(number, profile="streams", stack=True).facts.items():
            facts[name] = facts.get(name, 0) + count
    assert facts["broken streams"] > 10
    assert facts["connections"] > 50
    assert facts["retried"] > 3
    assert min(facts["default"], facts["consistent"]) > 50
