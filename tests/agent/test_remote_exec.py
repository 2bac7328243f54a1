from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.remote_exec import RemoteExec
from meshagent.clock import Tasks

ANNOUNCED = json.dumps({"Prefix": "_rexec", "Session": "s1"}).encode()
Wrote = list[tuple[str, bytes]]


class Keys:
    """The agent's API with one job, and a session that lives for so many writes."""

    def __init__(self, job: Any, writes: int = 1000) -> None:
        self.job = job if isinstance(job, bytes) else json.dumps(job).encode()
        self.left = writes
        self.wrote: Wrote = []
        self.asked = 0

    async def ask(self, method: str, target: str, token: str, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        self.asked += 1
        parts = urlsplit(target)
        if method == "GET":
            assert parts.path == "/v1/kv/_rexec/s1/job"
            return 200, {}, self.job
        assert parts.query == "acquire=s1"
        if self.left <= 0:
            return 200, {}, b"false\n"
        self.left -= 1
        self.wrote.append((parts.path.removeprefix("/v1/kv/_rexec/s1/n1/"), body))
        return 200, {}, b"true\n"


async def served(keys: Keys, payload: bytes = ANNOUNCED, *, enabled: bool = True) -> Wrote:
    tasks = Tasks()
    remote = RemoteExec(keys.ask, "n1", tasks, enabled=lambda: enabled)
    remote.announced(payload)
    while tasks._tasks:
        await next(iter(tasks._tasks))
    return keys.wrote


async def test_a_job_is_acknowledged_run_and_its_end_told() -> None:
    wrote = await served(Keys({"Command": "echo hello; exit 4"}))
    assert wrote == [("ack", b""), ("out/00000", b"hello\n"), ("exit", b"4")]
    assert (await served(Keys({"Args": ["/bin/echo", "$HOME"]})))[1] == ("out/00000", b"$HOME\n")


async def test_a_job_that_says_nothing_is_known_to_live() -> None:
    wrote = await served(Keys({"Command": "sleep 0.35", "Wait": 200_000_000}))
    assert ("out/00000", b"") in wrote
    assert wrote[-1] == ("exit", b"0")


async def test_a_job_whose_session_is_gone_is_killed() -> None:
    wrote = await served(Keys({"Command": "echo one; exec sleep 600", "Wait": 200_000_000}, writes=2))
    assert wrote == [("ack", b""), ("out/00000", b"one\n")]


async def test_an_agent_that_was_not_told_to_runs_nothing() -> None:
    keys = Keys({"Command": "true"})
    await served(keys, enabled=False)
    assert not keys.asked


@pytest.mark.parametrize("job", [b"", b"\xff", b"[]", {"Command": 3}, {"Script": "!"}])
async def test_a_job_that_does_not_decode_is_not_run(job: Any) -> None:
    assert all(name == "ack" for name, _ in await served(Keys(job)))


@given(st.binary(max_size=60))
def test_any_payload_is_taken_or_ignored(payload: bytes) -> None:
    started: list[Any] = []

    class NoTasks(Tasks):
        def start(self, coroutine: Any, *, name: str) -> Any:
            coroutine.close()
            started.append(name)

    keys = Keys({})
    RemoteExec(keys.ask, "n1", NoTasks(), enabled=lambda: True).announced(payload)
    assert len(started) <= 1
