"""I/O edge: coordinates on their way into the catalog.

Every agent tells its own now and then, the more members the more rarely, so that servers write about 64 a second in all
however large the cluster is. A server gathers what comes and writes it together: at most 128 in a batch, five batches
in five seconds; the newest of a node counts.

Source: surface rows CO3, S51 (rates and sizes are Consul's). A coordinate that is lost is told again: without a leader
they are dropped. What may change here: nothing but the rates.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

import msgspec

from meshagent.catalog.commands import CoordinateBatch
from meshagent.catalog.model import CoordinateRow
from meshagent.errors import MeshError

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.agent.gossip.pools import Pools

__all__ = ["CoordinateBatches", "interval_s", "tell_coordinate"]

log = logging.getLogger("agent")

#: Consul's `coordinate_update_batch_size` and `..._max_batches` in each `..._period`.
BATCH_SIZE = 128
MAX_BATCHES = 5
PERIOD_S = 5.0
#: Consul's `sync_coordinate_rate_target` and `..._interval_min`.
RATE_PER_S = 64.0
INTERVAL_MIN_S = 15.0


#: (method, target, token, body) -> status, headers, body: the agent's own API.
Ask = Callable[[str, str, str, bytes], Awaitable[tuple[int, Mapping[str, str], bytes]]]


class CoordinateBatches:
    """Gathers updates on a server and writes them once a period."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._waiting: dict[tuple[str, str], CoordinateRow] = {}
        self._running = False

    def add(self, row: CoordinateRow) -> None:
        """Take an update; it is written within a period, or dropped if too many wait."""
        key = (row.node.lower(), row.segment)
        if len(self._waiting) >= BATCH_SIZE * MAX_BATCHES and key not in self._waiting:
            return
        self._waiting[key] = row
        if not self._running:
            self._running = True
            self._agent.tasks.start(self._flush(), name="coordinate batches")

    async def _flush(self) -> None:
        try:
            await self._agent.clock.sleep(PERIOD_S)
        finally:
            self._running = False
            rows, self._waiting = list(self._waiting.values()), {}
        for start in range(0, len(rows), BATCH_SIZE):
            try:
                await self._agent.write(CoordinateBatch(tuple(rows[start : start + BATCH_SIZE])))
            except MeshError as error:
                log.warning("coordinates could not be written: %s", error)
                return


def interval_s(members: int) -> float:
    """How far apart one agent's updates are in a pool of `members`."""
    return max(INTERVAL_MIN_S, members / RATE_PER_S)


async def tell_coordinate(agent: Agent, pools: Pools, ask: Ask) -> None:
    """Tell where this agent is, for ever, through its own API: that of a client asks a server.

    Each time a random part of the interval later, so that all spread.
    """
    while True:
        between_s = interval_s(pools.size())
        await agent.clock.sleep(between_s + agent.rng.random() * between_s)
        row = CoordinateRow(node=agent.node_name, coord=pools.coordinate())
        tokens = agent.extras.get("acl_tokens")
        token = tokens.agent if tokens is not None else ""
        try:
            status, _, text = await ask("PUT", "/v1/coordinate/update", token, msgspec.json.encode(row))
        except MeshError as error:
            log.debug("coordinate could not be told: %s", error)
        else:
            if status != 200:
                log.debug("coordinate was refused: %s", text.decode("utf-8", "replace"))
