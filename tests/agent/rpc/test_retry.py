from __future__ import annotations

from meshagent.agent.rpc.retry import Retry
from meshagent.clock import VirtualClock


async def test_it_ends_behind_the_hold_time() -> None:
    clock = VirtualClock()
    retry = Retry(clock, 7.0)
    retry.begins()
    await clock.advance(6.9)
    assert not retry.exhausted(lost=True)
    retry.begins()
    await clock.advance(0.1)
    assert retry.exhausted(lost=True)
    assert retry.left_s() <= 0


async def test_a_request_that_waited_for_long_may_go_to_another_server() -> None:
    clock = VirtualClock()
    retry = Retry(clock, 7.0)
    retry.begins()
    await clock.advance(300.0)
    assert not retry.exhausted(lost=True)
    assert retry.left_s() == 7.0


async def test_a_server_that_said_no_for_long_has_said_no() -> None:
    clock = VirtualClock()
    retry = Retry(clock, 7.0)
    retry.begins()
    await clock.advance(7.5)
    assert retry.exhausted(lost=False)
