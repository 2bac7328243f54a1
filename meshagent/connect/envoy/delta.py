"""Incremental ADS: one stream with one Envoy, as a machine. No I/O.

    offer(resources, now)       what there is, each time that it changes
    received(request, now)      a request of the client
    tick(now)                   at `wake_at`, where that is not None
                                -> commands: Send, Rejected

What is named comes before what names it: clusters, endpoints, clusters made of others (failover), then listeners (once
the client has taken clusters and asked for the endpoints of new ones), routes, and at last removals of clusters that
nothing names any more. One response of a type is under way at a time. A listener or a route that names a cluster which
the client did not accept is held back: the client keeps the one that it has.

Source: surface row X4; envoyproxy.io "xDS REST and gRPC protocol" (incremental xDS, eventual consistency
considerations); Consul's order of updates (agent/xds 1.10, MPL). What may change here: timing; never the order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from meshagent.connect.envoy.resources import CLUSTER, ENDPOINTS, LISTENER, ORDER, ROUTES
from meshagent.connect.envoy.subscription import ABSENT, Batch, Subscription
from meshagent.connect.envoy.versioned import Versioned, VersionedResources

__all__ = ["PATIENCE_S", "RETURN_S", "Command", "DeltaStream", "Rejected", "Request", "Send"]

#: How long listeners wait for a client to ask for the endpoints of new clusters.
PATIENCE_S = 1.0
#: How long removals of clusters wait for a client that has come back to tell which listeners and routes it still has.
RETURN_S = 15.0


@dataclass(frozen=True, slots=True)
class Request:
    """A DeltaDiscoveryRequest. `error` is what the client says of a response that it did not accept."""

    type_url: str
    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    nonce: str = ""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Send:
    """A DeltaDiscoveryResponse."""

    type_url: str
    nonce: str
    resources: tuple[tuple[str, Versioned], ...]
    removed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rejected:
    """The client did not accept a response: its names, and those that are given up until they change."""

    type_url: str
    names: tuple[str, ...]
    given_up: tuple[str, ...]
    error: str


Command = Send | Rejected


class DeltaStream:
    """One stream."""

    def __init__(self) -> None:
        self._types: dict[str, Subscription] = {}
        self._held: VersionedResources = {}
        self._offered = False
        self._nonce = 0
        #: When `tick` is to be called; None for never.
        self.wake_at: float | None = None
        self._removals_at = 0.0
        self._cold_since: float | None = None
        #: Clusters that were sent and whose endpoints were not, since: a changed cluster waits for them, and the client
        #: does not ask again for what it has asked for before.
        self._renewed: set[str] = set()
        #: Endpoints that the client does not ask for.
        self._unasked: frozenset[str] = frozenset()

    # --- what happens ------------------------------------------------------------------------------------------

    def offer(self, resources: VersionedResources, now: float) -> list[Command]:
        """There are these resources now."""
        self._held = resources
        self._offered = True
        return self._push(now)

    def received(self, request: Request, now: float) -> list[Command]:
        """A request of the client. One for a type that there is not is answered with nothing."""
        if request.type_url not in ORDER:
            return []
        found = self._types.get(request.type_url)
        first = found is None
        if found is None:
            found = self._types[request.type_url] = Subscription()
            if request.versions:
                self._removals_at = max(self._removals_at, now + RETURN_S)
        commands: list[Command] = []
        if request.nonce and found.flying is not None and request.nonce == found.flying.nonce:
            if request.error is None:
                found.accepted()
            else:
                names = (*found.flying.changed, *found.flying.removed)
                commands.append(Rejected(request.type_url, names, found.refused(), request.error))
        found.unsubscribe(request.unsubscribe)
        legacy = request.type_url in {CLUSTER, LISTENER}
        found.subscribe(request.subscribe, first=first, legacy=legacy, versions=request.versions)
        return commands + self._push(now)

    def tick(self, now: float) -> list[Command]:
        """Time goes on."""
        return self._push(now)

    def rejected(self) -> dict[str, dict[str, str]]:
        """The versions that the client did not accept, by type and name."""
        return {type_url: dict(found.rejected) for type_url, found in self._types.items() if found.rejected}

    # --- what is sent ------------------------------------------------------------------------------------------

    def _push(self, now: float) -> list[Command]:
        self.wake_at = None
        if not self._offered:
            return []
        for type_url, found in self._types.items():
            found.know(self._of(type_url))
        commands: list[Command] = []
        self._step(CLUSTER, commands, remove=False)
        self._step(ENDPOINTS, commands, remove=False)
        if self._is_quiet(CLUSTER) and self._is_quiet(ENDPOINTS) and self._is_warm(now):
            self._step(CLUSTER, commands, remove=False)
            if self._is_quiet(CLUSTER):
                self._step(LISTENER, commands, remove=True)
                self._step(ROUTES, commands, remove=True)
        told_all = LISTENER in self._types and ROUTES in self._types
        if all(map(self._is_quiet, ORDER)) and (told_all or not self._waits(self._removals_at, now)):
            self._step(CLUSTER, commands, remove=True)
        if self._is_quiet(CLUSTER):
            self._step(ENDPOINTS, commands, remove=True)
        return commands

    def _of(self, type_url: str) -> Mapping[str, Versioned]:
        return self._held.get(type_url, {})

    def _step(self, type_url: str, commands: list[Command], *, remove: bool) -> None:
        """Send what is to be told of a type now."""
        found = self._types.get(type_url)
        if found is None or found.flying is not None:
            return
        changed = self._sendable(type_url, found)
        removed = self._removable(type_url, found, remove=remove)
        apart = [name for name in removed if name in found.again]
        if apart:
            changed, removed = {}, apart
        else:
            changed = found.batch(changed)
        if changed or removed or not (found.answered or found.told or not found.wildcard):
            self._nonce += 1
            if type_url == CLUSTER:
                self._renewed |= changed.keys() & self._of(ENDPOINTS).keys()
            elif type_url == ENDPOINTS:
                self._renewed -= changed.keys()
            found.flying = Batch(f"{self._nonce:08x}", changed, tuple(removed))
            commands.append(Send(type_url, found.flying.nonce, tuple(changed.items()), tuple(removed)))

    def _sendable(self, type_url: str, found: Subscription) -> dict[str, Versioned]:
        changed = found.changes(self._of(type_url))
        if type_url == ENDPOINTS and self._renewed:
            there = self._of(ENDPOINTS)
            wanted = [name for name in self._renewed if name in there and found.wants(name)]
            again = {name: there[name] for name in wanted if found.rejected.get(name) != there[name].version}
            changed = dict(sorted((changed | again).items()))
        if not changed or type_url == ENDPOINTS:
            return changed
        if type_url == CLUSTER:
            return {name: one for name, one in changed.items() if self._has_parts(name, one)}
        missing = self._missing_clusters()
        return {name: one for name, one in changed.items() if not one.clusters & missing} if missing else changed

    def _has_parts(self, cluster: str, aggregate: Versioned) -> bool:
        """The client has the clusters that one is made of, and their endpoints: else it would have nowhere to send."""
        parts = [name for name in aggregate.clusters if name != cluster and name in self._of(CLUSTER)]
        if not parts:
            return True
        clusters, endpoints = self._types[CLUSTER], self._types.get(ENDPOINTS)
        known = endpoints.told if endpoints is not None else {}
        for name in parts:
            if clusters.told.get(name, ABSENT) == ABSENT:
                return False
            waits = name in self._of(ENDPOINTS) and name not in self._unasked
            if waits and known.get(name, ABSENT) == ABSENT and not self._is_refused(endpoints, name):
                return False
        return True

    def _is_refused(self, found: Subscription | None, name: str) -> bool:
        return found is not None and name in found.rejected

    def _missing_clusters(self) -> frozenset[str]:
        """Clusters that there are and the client does not hold."""
        clusters = self._types.get(CLUSTER)
        if clusters is None:
            return frozenset()
        held = self._of(CLUSTER)
        return frozenset(name for name in held if clusters.told.get(name, ABSENT) == ABSENT)

    def _removable(self, type_url: str, found: Subscription, *, remove: bool) -> list[str]:
        names = found.removals(self._of(type_url))
        if not names or (remove and type_url not in {CLUSTER, ENDPOINTS}):
            return names
        unknown = [name for name in names if name not in found.told]  # the client waits for it
        if not remove:
            return unknown
        if type_url == ENDPOINTS:
            clusters, there = self._types.get(CLUSTER), self._of(CLUSTER)
            return [name for name in names if clusters is None or name in there or name not in clusters.told]
        named = self._named()
        return unknown if named is None else [name for name in names if name not in named]

    def _named(self) -> set[str] | None:
        """What the client's resources name; None when it holds some that we do not know."""
        names: set[str] = set()
        for type_url in (CLUSTER, LISTENER, ROUTES):
            found = self._types.get(type_url)
            if found is None:
                continue
            held = self._of(type_url)
            unsure = [(name, one) for name, several in found.unsure.items() for one in several.values()]
            for name, told in (*found.told.items(), *unsure):
                if isinstance(told, Versioned):
                    if type_url != CLUSTER or name in held:  # clusters that go may name each other
                        names |= told.clusters
                elif told != ABSENT and name in held:
                    return None
        return names

    # --- when --------------------------------------------------------------------------------------------------

    def _is_quiet(self, type_url: str) -> bool:
        """Nothing of it is under way, and nothing waits to be sent but removals of clusters and endpoints."""
        found = self._types.get(type_url)
        if found is None:
            return True
        if found.flying is not None or self._sendable(type_url, found):
            return False
        return type_url in {CLUSTER, ENDPOINTS} or not found.removals(self._of(type_url))

    def _is_warm(self, now: float) -> bool:
        """The client has asked for the endpoints of all its clusters, or does not ask."""
        clusters, endpoints = self._types.get(CLUSTER), self._types.get(ENDPOINTS)
        if clusters is None:
            return True
        asked = endpoints if endpoints is not None else Subscription()
        cold = frozenset(
            name for name in self._of(ENDPOINTS) if clusters.told.get(name, ABSENT) != ABSENT and not asked.wants(name)
        )
        self._unasked &= cold
        if not cold - self._unasked:
            self._cold_since = None
            return True
        if self._cold_since is None:
            self._cold_since = now
        if self._waits(self._cold_since + PATIENCE_S, now):
            return False
        self._unasked, self._cold_since = cold, None
        return True

    def _waits(self, until: float, now: float) -> bool:
        if now >= until:
            return False
        self.wake_at = until if self.wake_at is None else min(self.wake_at, until)
        return True
