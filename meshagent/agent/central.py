"""Keeps the proxies registered here in step with central configuration, as Consul's service manager does.

The proxy block of a sidecar or gateway, as everybody sees it, is the registered one with `proxy-defaults` and
`service-defaults` in it (`connect/central.py`). When one of those entries changes it is made anew, synced, and who
watches the registration is woken. What was registered is kept beside it and saved.

Source: surface rows M6, G17 (`enable_central_service_config`). What may change here: where entries come from on an
agent without a store.
"""

from __future__ import annotations

from meshagent.agent.local import LocalState
from meshagent.catalog.model import Service
from meshagent.catalog.store import Store
from meshagent.catalog.watch import Subscription
from meshagent.connect.central import MERGED_KINDS, merged

__all__ = ["CentralConfig"]


class CentralConfig:
    """Merges the entries of `store` into the registrations of `local`."""

    def __init__(self, local: LocalState, store: Store) -> None:
        self._local = local
        self._store = store
        self._subscriptions: dict[str, Subscription] = {}
        local.central = self._merge
        for service_id in list(local.services):
            local.merge_again(service_id)

    def _merge(self, service: Service) -> Service:
        if service.kind not in MERGED_KINDS:
            return service
        entries = self._store.config.watched()
        result = merged(service, entries)
        old = self._subscriptions.pop(service.id, None)
        if old is not None:
            old.cancel()
        self._subscriptions[service.id] = self._store.watches.subscribe(
            entries.topics, lambda: self._changed(service.id)
        )
        return result

    def _changed(self, service_id: str) -> None:
        self._subscriptions.pop(service_id, None)
        if service_id in self._local.services:
            self._local.merge_again(service_id)
