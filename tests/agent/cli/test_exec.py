"""Misuse of `exec`; what it does with agents is in tests/e2e/test_exec.py."""

from __future__ import annotations

import io
from typing import Any

import pytest


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("exec -tag=x true", "Cannot provide tag filter without service filter."),
        ("exec -wait=soon true", 'invalid value for -wait: time: invalid duration "soon"'),
        ("exec", "Must specify a command to execute"),
    ],
)
def test_misuse_is_explained_without_asking_the_agent(
    cli: Any, stub: Any, monkeypatch: pytest.MonkeyPatch, line: str, message: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b" \n")))
    ran = cli(line)
    assert (ran.status, ran.err) == (1, message + "\n")
    assert not stub.asked
