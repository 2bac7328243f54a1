from __future__ import annotations

import asyncio
from typing import Any

import pytest

from meshagent.agent.rpc import messages
from meshagent.agent.rpc.messages import Standing
from meshagent.agent.rpc.remote_log import AGAIN_S, RemoteLog
from meshagent.catalog.rpc.writes import encode_outcomes
from meshagent.clock import VirtualClock
from meshagent.errors import Denied, LocalProtocolError, NoLeader, Unavailable


class FakeUpstream:
    """Answers registrations with what is put in `outcomes`, a list for each frame or an error."""

    def __init__(self) -> None:
        self.connected = True
        self.age_s = 0.0
        self.standing = Standing("a:1", 7)
        self.outcomes: list[Any] = []
        self.frames: list[list[messages.Write]] = []
        self.barriers = 0

    async def wait_connected(self) -> None:
        if not self.connected:
            raise NoLeader("No known Consul servers")

    async def call(self, method: str, payload: bytes) -> bytes:
        assert method == messages.REGISTER
        writes = messages.decode_writes(payload)
        self.frames.append(writes)
        outcome = self.outcomes.pop(0) if self.outcomes else [None] * len(writes)
        if isinstance(outcome, Exception):
            raise outcome
        return encode_outcomes(outcome)

    async def barrier(self) -> None:
        self.barriers += 1


class Desk:
    def __init__(self) -> None:
        self.upstream = FakeUpstream()
        self.clock = VirtualClock()
        self.log = RemoteLog(self.upstream, origin=b"12345678", clock=self.clock)  # type: ignore[arg-type]


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_what_is_written_in_one_turn_leaves_together(desk: Desk) -> None:
    futures = [desk.log.propose(b"a"), desk.log.propose(b"b")]
    assert await asyncio.gather(*futures) == [None, None]
    ((first, second),) = desk.upstream.frames
    assert (first[2], second[2]) == (b"a", b"b")
    assert first[0] != second[0]


async def test_refusals_reach_who_asked(desk: Desk) -> None:
    desk.upstream.outcomes = [[Denied("no"), None]]
    refused, taken = desk.log.propose(b"a"), desk.log.propose(b"b")
    with pytest.raises(Denied, match="no"):
        await refused
    assert await taken is None


async def test_what_may_have_been_applied_is_tried_again_under_its_id(desk: Desk) -> None:
    desk.upstream.outcomes = [Unavailable("lost"), [NoLeader(), None]]
    futures = [desk.log.propose(b"a"), desk.log.propose(b"b")]
    await desk.clock.advance(AGAIN_S)
    assert [future.done() for future in futures] == [False, True]
    later = desk.log.propose(b"c")  # nothing overtakes it
    await desk.clock.advance(AGAIN_S)
    assert await futures[0] is None
    assert await later is None
    frames = desk.upstream.frames
    assert [[write[2] for write in frame] for frame in frames] == [[b"a", b"b"], [b"a", b"b"], [b"a"], [b"c"]]
    assert frames[0][0] == frames[2][0]


async def test_what_reached_nobody_fails(desk: Desk) -> None:
    desk.upstream.connected = False
    with pytest.raises(NoLeader, match="No known"):
        await desk.log.propose(b"a")


async def test_a_server_that_refuses_all_fails_all(desk: Desk) -> None:
    desk.upstream.outcomes = [Denied("no")]
    with pytest.raises(Denied):
        await desk.log.propose(b"a")
    desk.upstream.outcomes = [[None, None]]
    with pytest.raises(Exception, match="another number"):
        await desk.log.propose(b"a")


async def test_large_batches_are_cut(desk: Desk) -> None:
    await asyncio.gather(*(desk.log.propose(b"x") for _ in range(600)))
    assert [len(frame) for frame in desk.upstream.frames] == [512, 88]
    desk.upstream.frames.clear()
    await asyncio.gather(*(desk.log.propose(bytes(3 << 20)) for _ in range(3)))
    assert [len(frame) for frame in desk.upstream.frames] == [1, 1, 1]


async def test_how_it_stands(desk: Desk) -> None:
    log = desk.log
    await log.start()
    assert (log.is_leader, log.leader, log.last_contact_ms, log.has_heard) == (False, "a:1", 7, True)
    desk.upstream.connected = False
    desk.upstream.age_s = 2.5
    assert (log.leader, log.last_contact_ms) == ("", 2500)
    assert log.stats() == {}
    await log.read_barrier()
    assert desk.upstream.barriers == 1
    with pytest.raises(NoLeader):
        await log.barrier()


async def test_the_end(desk: Desk) -> None:
    desk.upstream.outcomes = [Unavailable("lost")]
    waiting = desk.log.propose(b"a")
    await desk.clock.advance(0)
    also = desk.log.propose(b"b")
    await desk.log.stop()
    with pytest.raises(Unavailable, match="shutting down"):
        await also
    assert waiting.done()


def test_an_origin_has_eight_bytes(desk: Desk) -> None:
    with pytest.raises(LocalProtocolError):
        RemoteLog(desk.upstream, origin=b"1", clock=desk.clock)  # type: ignore[arg-type]
