import pytest
from meshtest.inprocess import InProcess


@pytest.fixture
async def agent():
    """One agent on virtual time (tests/lib/meshtest/inprocess.py)."""
    running = InProcess()
    await running.start()
    yield running
    await running.stop()
