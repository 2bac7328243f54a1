"""For all tests: no test fails because the machine is busy, so generated examples have no deadline either.

The tests of a file that starts real processes run on one worker, in their order: they share agents, and what one of
them registers another may look for.

grpcio's handlers of fork are off: they abort a child that is forked while channels are open, before it can exec.
"""

import os

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

TESTS = Path(__file__).parent
#: Folders of tests with real processes.
SHARING = ("e2e", "interop")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        place = item.path.relative_to(TESTS) if item.path.is_relative_to(TESTS) else Path()
        if place.parts[:1] and place.parts[0] in SHARING and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(place.as_posix()))
