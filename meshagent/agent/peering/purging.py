"""I/O edge: what ends with a peering: imported instances go in slices, then roots, then the peering being deleted.

A duty of the leader. A slice is one entry of the log, so that a peer with ten thousand instances holds nobody up.

Source: surface row PE3 (deletion is asynchronous). What may change here: the size of a slice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from meshagent.catalog.peering.commands import PeeringPurge
from meshagent.errors import MeshError

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["SLICE", "purge_ended"]

log = logging.getLogger("agent.peering")

#: Instances removed by one command: some milliseconds of applying.
SLICE = 200
RETRY_S = 1.0


async def purge_ended(agent: Agent, is_told: Callable[[str], bool]) -> None:
    """Purge what has ended, for ever. `is_told(id)`: whether the other side knows, or need not be waited for."""
    changed = asyncio.Event()
    while True:
        changed.clear()
        waiting = agent.store.watches.subscribe(["peerings"], changed.set)
        try:
            pending = [row.id for row in agent.store.peerings.rows.values() if not row.usable]
            waits = False
            for peering_id in pending:
                if not is_told(peering_id):
                    waits = True
                elif _has_something(agent, peering_id):
                    await _purge(agent, peering_id)
            if waits:
                await agent.clock.sleep(RETRY_S / 4)
            else:
                await changed.wait()
        except MeshError as error:
            log.warning("what is left of a peering could not be removed yet: %s", error)
            await agent.clock.sleep(RETRY_S)
        finally:
            waiting.cancel()


def _has_something(agent: Agent, peering_id: str) -> bool:
    store = agent.store
    row = store.peerings.of_id(peering_id)
    if row is None:
        return False
    return bool(row.deleted_at) or row.name in store.imported.peers or row.name in store.peerings.bundles


async def _purge(agent: Agent, peering_id: str) -> None:
    while not await agent.write_as_leader(PeeringPurge(peering_id, SLICE)):
        await agent.clock.sleep(0)
