"""A durable single server for a test; more than one where a test starts its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from meshtest.process import AgentProcess


@pytest.fixture
def agent() -> Iterator[AgentProcess]:
    with AgentProcess.server() as running:
        yield running


@pytest.fixture(scope="module")
def module_agent() -> Iterator[AgentProcess]:
    """One server for all tests of a file that only add to it."""
    with AgentProcess.server() as running:
        yield running
