"""Fixtures: an agent on virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from meshtest.inprocess import InProcess


@pytest.fixture
async def live() -> AsyncIterator[InProcess]:
    running = InProcess()
    await running.start()
    yield running
    await running.stop()
