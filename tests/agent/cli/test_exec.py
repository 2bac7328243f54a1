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


def test_what_a_command_said_comes_before_its_end_even_when_all_is_found_at_once(
    cli: Any, stub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub.answer("session/create", {"ID": "s"}, method="PUT")
    for path in ("session/destroy/s", "session/renew/s", "kv/_rexec/s/job"):
        stub.answer(path, True, method="PUT")
    stub.answer("kv/_rexec/s", True, method="DELETE")
    stub.answer("event/fire/_rexec", {"ID": "e"}, method="PUT")
    stub.answer("kv/_rexec/s/", [f"_rexec/s/n1/{what}" for what in ("ack", "exit", "out/00000", "out/00001")])
    stub.answer("kv/_rexec/s/n1/exit", b"0")
    stub.answer("kv/_rexec/s/n1/out/00000", b"one\n")
    stub.answer("kv/_rexec/s/n1/out/00001", b"two\n")
    ran = cli("exec -wait-repl=0s -wait=1ms true")
    assert ran.out.splitlines() == [
        "    n1: one",
        "    n1: two",
        "==> n1: finished with exit code 0",
        "1 / 1 node(s) completed / acknowledged",
    ]
    assert ran.status == 0
