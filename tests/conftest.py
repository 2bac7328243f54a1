"""For all tests: no test fails because the machine is busy, so generated examples have no deadline either.

The suite is spread over workers file by file (`--dist loadfile`): tests of a file share agents, and what one of them
registers another may look for. Files whose tests mostly wait (real processes) stand among those that compute, so that
neither kind has all workers; the largest of the latter are not left for the end.

grpcio's handlers of fork are off: they abort a child that is forked while channels are open, before it can exec.
"""

import os

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import pytest
from hypothesis import settings

WAITING = {"chaos", "conformance", "e2e", "interop"}

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


def mixed(files: dict[str, list[pytest.Item]], waiting: set[str]) -> list[pytest.Item]:
    """The tests of the files: those of `waiting` spread evenly over the first three quarters of the others."""
    slow = [file for file in files if file in waiting]
    fast = sorted((file for file in files if file not in waiting), key=lambda file: -len(files[file]))
    places = [(number / max(len(slow), 1) * 0.75, file) for number, file in enumerate(slow)]
    places += [(number / max(len(fast), 1), file) for number, file in enumerate(fast)]
    return [item for _, file in sorted(places) for item in files[file]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    files: dict[str, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.nodeid.partition("::")[0], []).append(item)
    items[:] = mixed(files, {file for file in files if WAITING & set(file.split("/")[:2])})
