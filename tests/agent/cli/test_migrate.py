"""Misuse of `migrate from-consul`; what it does with agents is in tests/e2e/test_migrate.py."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("migrate from-consul", "Must provide exactly one address"),
        ("migrate from-consul -only=keys http://x", "-only: 'keys' is not one of kv, config"),
    ],
)
def test_misuse_is_explained(cli: Any, stub: Any, line: str, message: str) -> None:
    ran = cli(line)
    assert ran.status == 1
    assert message in ran.err
    assert not stub.asked


def test_a_source_that_cannot_be_read_ends_it(cli: Any, stub: Any) -> None:
    stub.answer("kv/", {"no": "rows"}, status=403)
    ran = cli(f"migrate from-consul -only=kv http://{stub.address}")
    assert (ran.status, "kv: the source refuses to be read" in ran.err) == (1, True)
