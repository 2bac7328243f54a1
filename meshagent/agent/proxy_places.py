"""Where a proxy is registered: with this agent (`Here`), or in the catalog alone (`InCatalog`), as on Kubernetes.

A place finds the registration with the central configuration in it, says what else the snapshot takes from where the
proxy stands, and calls back once when the registration is another. No I/O: subscriptions are call-backs.

Source: surface rows M6, P6; developer.hashicorp.com/consul/docs/connect/dataplane (the metadata `node_name` of Envoy).
What may change here: further places.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import msgspec

from meshagent.agent.exposed_checks import exposed_paths
from meshagent.catalog.watch import Subscription
from meshagent.connect.central import merged

if TYPE_CHECKING:
    from meshagent.agent.local import LocalState
    from meshagent.catalog.model import ExposePath, Locality, Service
    from meshagent.catalog.store import Store

__all__ = ["Here", "InCatalog", "Place", "Registered"]


@dataclass(frozen=True, slots=True)
class Registered:
    """A proxy's registration, and what its host adds: where it is, which checks go through the proxy, from where."""

    service: Service
    locality: Locality | None = None
    checks: tuple[ExposePath, ...] = ()
    host_address: str = ""


class Place(Protocol):
    """Where one proxy is registered."""

    def find(self) -> Registered | None:
        """The registration of now; None without one."""

    def watch(self, changed: Callable[[], None]) -> None:
        """Call `changed` when the registration that `find` told last is another; nothing is done while that is due."""

    def close(self) -> None:
        """Watch no more."""


class Here:
    """With this agent, which has merged the central configuration into it."""

    def __init__(self, local: LocalState, proxy_id: str) -> None:
        self._local = local
        self._id = proxy_id
        self._subscription: Subscription | None = None

    def find(self) -> Registered | None:
        """As `Place.find`."""
        entry = self._local.services.get(self._id)
        if entry is None:
            return None
        node, service = self._local.node, entry.service
        checks = tuple(exposed_paths(self._local, service.proxy.destination_service_id))
        return Registered(service, node.locality, checks, node.address)

    def watch(self, changed: Callable[[], None]) -> None:
        """As `Place.watch`."""
        if self._subscription is None or not self._subscription.active:
            self._subscription = self._local.watches.subscribe([("agent-service", self._id)], changed)

    def close(self) -> None:
        """As `Place.close`."""
        if self._subscription is not None:
            self._subscription.cancel()


class InCatalog:
    """In the catalog alone, on a node that may have no agent. A node may have hundreds of instances: that one of the
    others has changed is noticed here, and told nobody."""

    def __init__(self, store: Store, node: str, proxy_id: str) -> None:
        self._store = store
        self._node = node
        self._id = proxy_id
        self._told: Registered | None = None
        self._changed: Callable[[], None] | None = None
        self._subscription: Subscription | None = None

    def find(self) -> Registered | None:
        """As `Place.find`."""
        service = self._row()
        node = self._store.registrations.node(self._node)
        if service is None or node is None:
            self._told = None
            return None
        self._told = Registered(merged(service, self._store.config.lookup()), node.locality, (), node.address)
        return self._told

    def watch(self, changed: Callable[[], None]) -> None:
        """As `Place.watch`."""
        self._changed = changed
        if self._subscription is None or not self._subscription.active:
            entries = self._store.config.watched()
            service = self._row()
            if service is not None:
                merged(service, entries)
            topics = [("node", self._node.lower()), *entries.topics]
            self._subscription = self._store.watches.subscribe(topics, self._fired)

    def close(self) -> None:
        """As `Place.close`."""
        self._changed = None
        if self._subscription is not None:
            self._subscription.cancel()

    def _row(self) -> Service | None:
        row = self._store.registrations.services.get((self._node.lower(), self._id.lower()))
        return _typed(row) if row is not None else None

    def _fired(self) -> None:
        changed, before = self._changed, self._told
        if changed is None:
            return
        if self.find() == before and before is not None:
            self.watch(changed)
        else:
            changed()


def _typed(service: Service) -> Service:
    """The catalog keeps upstreams as they were sent, an agent fills in their type."""
    upstreams = service.proxy.upstreams or ()
    if all(one.destination_type for one in upstreams):
        return service
    replace = msgspec.structs.replace
    filled = tuple(one if one.destination_type else replace(one, destination_type="service") for one in upstreams)
    return replace(service, proxy=replace(service.proxy, upstreams=filled))
