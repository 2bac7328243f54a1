"""I/O edge: the leader's reconcile: when it runs, and what carries its plans out.

Source: surface row E4 (on events and every 60 s). A duty of the leader (`leadership.py`). Rows are written at once;
changes of the servers one after the other, each tried again until it holds or is not wanted any more.

What may change here: when it runs; what is done is decided in `reconcile.py`.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from meshagent.agent.reconcile import AddServer, Plan, Reconciler, RemoveServer
from meshagent.errors import MeshError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshagent.agent.core import Agent
    from meshagent.agent.gossip.pools import MemberEvent
    from meshagent.agent.membership import Membership
    from meshagent.catalog.raft.replica import RaftLog

__all__ = ["ReconcileKeeper"]

log = logging.getLogger("agent.server")

INTERVAL_S = 60.0
#: Pause after a change that could not be made.
RETRY_S = 1.0


class ReconcileKeeper:
    """One for each server; the leader's works."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._raft: RaftLog = agent.extras["raft"]
        self._wake = asyncio.Event()
        self._begin()

    def _begin(self) -> None:
        agent = self._agent
        self._machine = Reconciler(agent.store, agent.datacenter, agent.node_name, agent.config.reconnect_timeout)

    def on_members(self, event: MemberEvent) -> None:
        """Members have changed."""
        if event.wan:
            return
        if event.kind == "member-reap":
            self._machine.reaped(member.name for member in event.members)
        self._wake.set()

    async def once(self) -> None:
        """A new leader's first look: all rows are right on return. Raises NoLeader."""
        self._begin()
        await self._write(self._plan())

    async def run(self) -> None:
        """A leader's duty, for ever."""
        while True:
            self._wake.clear()
            plan = self._plan()
            complete = True
            try:
                await self._write(plan)
                if plan.servers:
                    await self._change(plan.servers[0])
                    self._wake.set()  # one at a time: what else there is to do is planned anew
            except MeshError as error:
                log.warning("reconciling members failed: %s", error)
                complete = False
            await self._wait(min(INTERVAL_S, plan.again_s or INTERVAL_S) if complete else RETRY_S)

    def _plan(self) -> Plan:
        members: Membership = self._agent.extras["members"]
        started = self._agent.clock.monotonic()
        plan = self._machine.plan(members.members(), self._raft.servers, started)
        self._agent.metrics.measure("leader.reconcile", started)
        return plan

    async def _write(self, plan: Plan) -> None:
        for node, reason in plan.reasons:
            log.info("%s: member=%s", reason, node)
        done = await asyncio.gather(*map(self._agent.write_as_leader, plan.writes), return_exceptions=True)
        refused = [result for result in done if isinstance(result, BaseException)]
        self._raise_first(refused)

    @staticmethod
    def _raise_first(refused: Sequence[BaseException]) -> None:
        """One that could not be written must not keep the others from being; it is tried again with the next look."""
        for error in refused:
            if not isinstance(error, MeshError) or error.retryable:
                raise error
            log.warning("failed to reconcile a member: %s", error)

    async def _change(self, change: AddServer | RemoveServer) -> None:
        if isinstance(change, AddServer):
            log.info("adding server: id=%s address=%s (%s)", change.node_id, change.address, change.reason)
            await self._raft.add_server(change.node_id, change.address, voter=change.voter)
        else:
            log.info("removing server: id=%s (%s)", change.node_id, change.reason)
            await self._raft.remove_server(change.node_id)

    async def _wait(self, delay_s: float) -> None:
        """Return when members change, or after `delay_s`."""
        timer = self._agent.tasks.start(self._ring(delay_s), name="reconcile timer")
        try:
            await self._wake.wait()
        finally:
            timer.cancel()

    async def _ring(self, delay_s: float) -> None:
        await self._agent.clock.sleep(delay_s)
        self._wake.set()
