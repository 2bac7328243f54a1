"""`pytest tests/sim --seed N [--profile P]` replays one seed; `--seeds N` runs the first N."""

from __future__ import annotations

import pytest

SEEDS = 180  # 0.1 to 0.4 s each


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, help="replay this seed of the simulation")
    parser.addoption("--profile", help="what goes wrong in it (default: what the seed says)")
    parser.addoption("--seeds", type=int, default=SEEDS, help="how many seeds of the simulation to run")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        one = metafunc.config.getoption("--seed")
        seeds = range(metafunc.config.getoption("--seeds")) if one is None else [one]
        metafunc.parametrize("seed", seeds)


@pytest.fixture
def profile(request: pytest.FixtureRequest) -> str | None:
    name: str | None = request.config.getoption("--profile")
    return name


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Thousands of elections are logged; nobody reads them."""
    for name in ("agent.server.raft", "agent.server.rpc", "agent.client.rpc"):
        caplog.set_level("CRITICAL", logger=name)
