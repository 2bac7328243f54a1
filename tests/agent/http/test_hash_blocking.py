"""Surface row C14: waiting ends at a change or in time, and leaves nothing behind. More in test_agent_services.py."""

import asyncio

from meshagent.agent.definitions import ServiceDefinition
from meshagent.agent.http.hash_blocking import wait_changed


async def test_it_ends_at_a_change(live):
    waiting = asyncio.ensure_future(wait_changed(live.agent, ("agent-service", "web"), 60.0))
    await live.settle()
    assert not waiting.done()
    live.local.add_service(ServiceDefinition(name="web"))
    await live.settle()
    assert waiting.done()
    assert len(live.local.watches) == 0


async def test_it_ends_in_time_or_when_the_client_goes(live):
    waiting = asyncio.ensure_future(wait_changed(live.agent, ("agent-service", "web"), 60.0))
    await live.clock.advance(61)
    assert waiting.done()
    waiting = asyncio.ensure_future(wait_changed(live.agent, ("agent-service", "web"), 60.0))
    await live.settle()
    waiting.cancel()
    await live.settle()
    assert len(live.local.watches) == 0
