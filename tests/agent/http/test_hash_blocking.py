"""Surface row C14: waiting ends at a change or in time, and leaves nothing behind. More in test_agent_services.py."""

import asyncio

from meshagent.agent.definitions import ServiceDefinition
from meshagent.agent.http.hash_blocking import wait_changed


async def test_it_ends_at_a_change(agent):
    waiting = asyncio.ensure_future(wait_changed(agent.agent, ("agent-service", "web"), 60.0))
    await agent.settle()
    assert not waiting.done()
    agent.local.add_service(ServiceDefinition(name="web"))
    await agent.settle()
    assert waiting.done()
    assert len(agent.local.watches) == 0


async def test_it_ends_in_time_or_when_the_client_goes(agent):
    waiting = asyncio.ensure_future(wait_changed(agent.agent, ("agent-service", "web"), 60.0))
    await agent.clock.advance(61)
    assert waiting.done()
    waiting = asyncio.ensure_future(wait_changed(agent.agent, ("agent-service", "web"), 60.0))
    await agent.settle()
    waiting.cancel()
    await agent.settle()
    assert len(agent.local.watches) == 0
