"""I/O edge: waiting for a change of something on this host (surface row C14).

Reads of the catalog block in `views.py`; what the agent itself holds has no index, so its clients block on a hash and
the reader compares again after each change. What may change here: nothing that a handler can compute.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from meshagent.catalog.watch import Topic, Watches

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["wait_changed"]


async def wait_changed(agent: Agent, topic: Topic, wait_s: float, watches: Watches | None = None) -> None:
    """Return at a change of `topic` of what is held here (or of `watches`), or after `wait_s` seconds."""
    woken = asyncio.Event()
    subscription = (watches or agent.local.watches).subscribe([topic], woken.set)
    timer = agent.tasks.start(agent.clock.sleep(wait_s), name="hash blocking timer")
    timer.add_done_callback(lambda _: woken.set())
    try:
        await woken.wait()
    finally:
        subscription.cancel()
        timer.cancel()
