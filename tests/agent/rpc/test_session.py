from __future__ import annotations

import asyncio
from typing import Any

import pytest

from meshagent.agent.rpc import messages
from meshagent.agent.rpc.messages import Question, Unwatch, Watch, WatchBatch
from meshagent.agent.rpc.session import Session
from meshagent.agent.servers import Server
from meshagent.errors import NoLeader, Unavailable


class FakeLink:
    def __init__(self) -> None:
        self.calls: list[asyncio.Future[bytes]] = []
        self.methods: list[str] = []
        self.payloads: list[bytes] = []

    def call(self, method: str, payload: bytes, timeout_s: float) -> asyncio.Future[bytes]:
        self.methods.append(method)
        self.payloads.append(payload)
        self.calls.append(asyncio.get_running_loop().create_future())
        return self.calls[-1]


async def test_reads_that_wait_share_a_question() -> None:
    link: Any = FakeLink()
    task: Any = None
    session = Session(Server("a:1"), link, task, 1.0)
    gates = [session.gate.ready() for _ in range(10)]
    await asyncio.sleep(0)
    assert link.methods == [messages.SYNC]
    link.calls[0].set_result(b"")
    await asyncio.gather(*gates)


@pytest.mark.parametrize("error", [NoLeader(), None])
async def test_a_failure_reaches_all(error: NoLeader | None) -> None:
    link: Any = FakeLink()
    task: Any = None
    session = Session(Server("a:1"), link, task, 1.0)
    gate = session.gate.ready()
    await asyncio.sleep(0)
    if error is None:
        link.calls[0].cancel()
    else:
        link.calls[0].set_exception(error)
    with pytest.raises((NoLeader, Unavailable)):
        await gate


async def test_what_is_followed_in_one_turn_is_few_requests() -> None:
    link: Any = FakeLink()
    task: Any = None
    session = Session(Server("a:1"), link, task, 1.0)
    refused: list[BaseException] = []
    session.on_refused = refused.append
    for sub in range(1200):
        session.send(WatchBatch(session.name, (Watch(sub, Question("service", str(sub))),)))
        session.send(Unwatch(session.name, (sub,)))
    await asyncio.sleep(0)
    assert link.methods == [messages.WATCH] * 3 + [messages.UNWATCH]
    batches = [messages.decode(WatchBatch, payload) for payload in link.payloads[:3]]
    assert [watch.sub for batch in batches for watch in batch.watches] == list(range(1200))
    assert messages.decode(Unwatch, link.payloads[3]).subs == tuple(range(1200))
    link.calls[0].set_exception(Unavailable("no"))
    link.calls[1].set_result(b"")
    await asyncio.sleep(0)
    assert [str(error) for error in refused] == ["no"]
