from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from meshtest.clientworld import ClientWorld


@pytest.fixture
async def world() -> AsyncIterator[ClientWorld]:
    made = ClientWorld()
    yield made
    await made.stop()
