"""One agent for each test that talks to a peer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from meshtest.process import AgentProcess


@pytest.fixture
def agent() -> Iterator[AgentProcess]:
    # negative and positive answers must not be kept by the peers: their own TTLs are under test
    with AgentProcess.server({"dns_config": {"soa": {"min_ttl": 0}}}) as running:
        yield running
