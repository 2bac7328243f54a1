"""What a client agent knows of the mesh: config entries, roots and instances of upstreams, as the servers tell.

They are kept in the tables of the client's own store, with the topics of every change, so that central configuration,
decisions and snapshots of proxies work from a store on clients as on servers. Private keys never come here.

Source: our own; questions in agent/rpc/questions.py. What may change here: which tables are followed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from meshagent.agent.rpc import questions
from meshagent.agent.rpc.questions import MeshRows
from meshagent.catalog.entries.entry import Entry
from meshagent.catalog.model import ServiceEntry
from meshagent.catalog.store import Store
from meshagent.catalog.watch import Topic
from meshagent.dns.view import NotYet
from meshagent.errors import MeshError

if TYPE_CHECKING:
    from meshagent.agent.rpc.rows import Rows

__all__ = ["MeshReplica"]


class MeshReplica:
    """Follows `rows` into `store`."""

    def __init__(self, rows: Rows, store: Store) -> None:
        self._rows = rows
        self._store = store
        #: Topics of what is followed: instances by service, "" for entries and roots.
        self._pinned: dict[str, Topic] = {}

    def start(self) -> None:
        """Follow entries and roots from now on."""
        self._pinned[""] = self._rows.pin(questions.MESH, "")
        self._changed()

    def instances(self, service: str) -> tuple[Iterable[ServiceEntry], tuple[Topic, ...]]:
        """The instances that give mesh access to a service, followed from the first time on; their topic."""
        lower = service.lower()
        if lower not in self._pinned:
            self._pinned[lower] = self._rows.pin(questions.CONNECT, lower)
            self._watch_instances(lower)
        topics: tuple[Topic, ...] = (("connect", lower),)
        try:
            found, _ = self._rows.need(questions.CONNECT, lower)
        except (NotYet, MeshError):
            return (), topics
        return found, topics

    def _watch_instances(self, lower: str) -> None:
        def changed() -> None:
            self._watch_instances(lower)
            self._store.watches.notify(("connect", lower))
            self._store.watches.flush()

        self._rows.watches.subscribe([self._pinned[lower]], changed)

    def _changed(self) -> None:
        self._rows.watches.subscribe([self._pinned[""]], self._changed)
        self._load()

    def _load(self) -> None:
        try:
            found, _ = self._rows.need(questions.MESH, "")
        except (NotYet, MeshError):
            return  # what was known stays in force
        self._take(found)

    def _take(self, found: MeshRows) -> None:
        store, table = self._store, self._store.config
        fresh: dict[tuple[str, str], Entry] = {(one.kind, one.name.lower()): one for one in found.entries}
        for key in fresh.keys() | table.entries.keys():
            if table.entries.get(key) != fresh.get(key):
                store.watches.notify(("config-entry", "/".join(key)))
                store.watches.notify(("config-kind", key[0]))
        table.entries, table.index = fresh, found.index
        if found.ca is not None:
            before = (store.ca.roots, store.ca.cluster_id)
            store.ca.load([found.ca])
            if before != (store.ca.roots, store.ca.cluster_id):
                store.watches.notify("ca-roots")
            store.watches.notify("ca-config")
        store.watches.flush()
