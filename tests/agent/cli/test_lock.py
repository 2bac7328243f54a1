"""Misuse of `lock`; what it does with an agent is in tests/e2e/test_lock.py."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("lock", "Key prefix and child command must be specified"),
        ("lock jobs", "Key prefix and child command must be specified"),
        ("lock / true", "Key prefix must be specified"),
        ("lock -n 0 jobs true", "Lock holder limit must be positive"),
        ("lock -try soon jobs true", "Invalid try value: soon: a duration such as 10s was expected"),
        ("lock -timeout=-3s jobs true", "Timeout must be positive, not -3s"),
    ],
)
def test_misuse_is_explained_without_asking_the_agent(cli: Any, stub: Any, line: str, message: str) -> None:
    ran = cli(line)
    assert (ran.status, ran.err) == (1, message + "\n")
    assert not stub.asked
