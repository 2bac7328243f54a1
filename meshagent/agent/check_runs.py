"""Joins what is registered to what runs it: checks are started and stopped, aliases woken, dead services removed.

Source: surface rows K4, K19. `LocalState` knows nothing of tasks and `CheckRunner` nothing of registrations; this is
all there is between them. What may change here: no rule about checks; those are in `agent/checks`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from meshagent.agent.checks.alias import AliasedHealth, AliasSource
from meshagent.agent.checks.definition import Definition
from meshagent.agent.checks.status import reap
from meshagent.agent.local import LocalState
from meshagent.agent.registration import LocalCheck, LocalService, Observer
from meshagent.catalog import queries
from meshagent.catalog.store import Store
from meshagent.clock import Clock, Tasks
from meshagent.errors import MeshError

__all__ = ["CheckRuns", "Follow", "Followed", "Runner", "alias_source", "node_follower"]

log = logging.getLogger("agent")


class Runner(Protocol):
    """What is needed of `checks.scheduler.CheckRunner`."""

    def add(self, check_id: str, definition: Definition, *, status: str, output: str) -> None: ...
    def remove(self, check_id: str) -> None: ...
    def aliased_changed(self, node: str = "", service_id: str = "") -> None: ...


class Followed(Protocol):
    """One call to come; `catalog.watch.Subscription` is one."""

    def cancel(self) -> None: ...


class Follow(Protocol):
    """How to hear of the checks of a node."""

    def __call__(self, node: str, callback: Callable[[], None]) -> Followed:
        """Call `callback` once, when the checks or services of `node` have changed."""


def node_follower(store: Store) -> Follow:
    """Hears of it from the catalog."""

    def follow(node: str, callback: Callable[[], None]) -> Followed:
        key = node.lower()
        return store.watches.subscribe([("node-checks", key), ("node", key)], callback)

    return follow


def alias_source(local: LocalState, store: Store) -> AliasSource:
    """Who answers alias checks: the local state for this node, the catalog for others (surface row K19)."""

    def aliased(node: str, service_id: str) -> AliasedHealth:
        if not node or node.lower() == local.node_name.lower():
            own = [*local.checks_of(""), *(local.checks_of(service_id) if service_id else ())]
            return AliasedHealth([entry.check for entry in own], service_id in local.services)
        rows = queries.node_services(store, node).rows
        there = rows is not None and any(service.id == service_id for service in rows[1])
        return AliasedHealth(queries.health_node(store, node).rows, there)

    return aliased


class CheckRuns(Observer):
    """Runs the checks of a local state, and removes services whose checks have been critical for too long."""

    def __init__(self, local: LocalState, runner: Runner, follow: Follow, clock: Clock, tasks: Tasks) -> None:
        self._local = local
        self._runner = runner
        self._follow = follow
        self._clock = clock
        self._tasks = tasks
        self._nodes: dict[str, set[str]] = {}
        """Names of nodes as alias checks write them -> those checks."""
        self._watched: dict[str, Followed] = {}
        self._alias_status: dict[str, str] = {}
        local.observe(self)

    def start(self) -> None:
        """Look every `check_reap_interval` for services to remove."""
        self._tasks.start(self._reap(), name="reap critical services")

    async def _reap(self) -> None:
        while True:
            await self._clock.sleep(self._local.settings.check_reap_interval_s)
            floor_s = self._local.settings.check_deregister_min_s
            for dead in reap(self._local.critical_checks(), self._clock.monotonic(), floor_s):
                log.info("deregistered service with critical health: service=%s: %s", dead.service_id, dead.reason)
                if dead.service_id in self._local.services:
                    self._local.remove_service(dead.service_id)

    # --- observing -----------------------------------------------------------------------------------------------

    def service_added(self, entry: LocalService) -> None:
        self._changed(entry.service.id)

    def service_removed(self, entry: LocalService) -> None:
        self._changed(entry.service.id)

    def check_added(self, entry: LocalCheck) -> None:
        check, definition = entry.check, entry.definition
        self._forget(check.check_id)
        if definition is None:
            self._runner.remove(check.check_id)
        else:
            if definition.kind == "alias":
                self._alias_status[check.check_id] = check.status
                self._watch(definition.alias_node, check.check_id)
            try:
                self._runner.add(check.check_id, definition, status=check.status, output=check.output)
            except MeshError as error:
                log.error("check cannot be run: check=%s: %s", check.check_id, error)
        self._changed(check.service_id)

    def check_removed(self, entry: LocalCheck) -> None:
        self._forget(entry.check.check_id)
        self._runner.remove(entry.check.check_id)
        self._changed(entry.check.service_id)

    def check_updated(self, entry: LocalCheck) -> None:
        check = entry.check
        if check.check_id in self._alias_status:
            # Aliases that look at each other would quote each other for ever.
            if self._alias_status[check.check_id] == check.status:
                return
            self._alias_status[check.check_id] = check.status
        self._changed(check.service_id)

    # --- aliases -------------------------------------------------------------------------------------------------

    def _changed(self, service_id: str) -> None:
        """Something of a service of this node ("": of the node) changed."""
        for node in self._nodes:
            if self._is_here(node):
                self._runner.aliased_changed(node, service_id)

    def _is_here(self, node: str) -> bool:
        return not node or node.lower() == self._local.node_name.lower()

    def _watch(self, node: str, check_id: str) -> None:
        self._nodes.setdefault(node, set()).add(check_id)
        if not self._is_here(node) and node not in self._watched:
            self._subscribe(node)

    def _subscribe(self, node: str) -> None:
        def fired() -> None:
            self._subscribe(node)
            self._runner.aliased_changed(node)

        self._watched[node] = self._follow(node, fired)

    def _forget(self, check_id: str) -> None:
        if self._alias_status.pop(check_id, None) is None:
            return
        for node, checks in list(self._nodes.items()):
            checks.discard(check_id)
            if not checks:
                del self._nodes[node]
                watched = self._watched.pop(node, None)
                if watched is not None:
                    watched.cancel()
