"""The config entries that a client agent needs of its servers, in its own table: what central configuration merges.

Nothing is followed until a proxy or gateway is registered here. Source: surface rows M6, G17. No I/O.

What may be changed: `KINDS`, when central configuration reads others (`connect/central.py`).
"""

from __future__ import annotations

from meshagent.agent.local import LocalState
from meshagent.agent.registration import LocalService, Observer
from meshagent.agent.rpc.questions import CONFIG_KIND
from meshagent.agent.rpc.rows import Rows
from meshagent.catalog.store import Store
from meshagent.connect.central import MERGED_KINDS
from meshagent.dns.view import NotYet
from meshagent.errors import MeshError

__all__ = ["KINDS", "ConfigMirror"]

KINDS = ("proxy-defaults", "service-defaults")


class ConfigMirror(Observer):
    """Keeps the entries of `KINDS` in `store` equal to those of the servers, once they are needed."""

    def __init__(self, local: LocalState, rows: Rows, store: Store) -> None:
        self._rows = rows
        self._store = store
        self._following = False
        local.observe(self)
        for entry in local.services.values():
            self.service_added(entry)

    def service_added(self, entry: LocalService) -> None:
        """Begin with the first that central configuration speaks of."""
        if not self._following and entry.service.kind in MERGED_KINDS:
            self._following = True
            for kind in KINDS:
                self._follow(kind)

    def _follow(self, kind: str) -> None:
        topic = self._rows.pin(CONFIG_KIND, kind)
        self._rows.watches.subscribe([topic], lambda: self._changed(kind))
        self._take(kind)

    def _changed(self, kind: str) -> None:
        self._follow(kind)
        self._rows.unpin(CONFIG_KIND, kind)  # it is pinned anew

    def _take(self, kind: str) -> None:
        try:
            entries, _ = self._rows.need(CONFIG_KIND, kind)
        except (NotYet, MeshError):
            return  # what is held stays; its change is told
        self._store.config.mirror(kind, entries)
        self._store.flush()
