"""The table of config entries: set, delete, compare-and-set, and what a change may not break.

A write of the same content changes nothing. Every entry has the index of the table as its read index, as in Consul.

Source: surface rows CF1-CF4, M20-M37; developer.hashicorp.com/consul/api-docs/config. What may change here: rules of
entries belong to `entries/`; this module only keeps them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from meshagent.catalog import commands
from meshagent.catalog.entries import binding, references
from meshagent.catalog.entries.api_gateway import APIGateway
from meshagent.catalog.entries.entry import Entry
from meshagent.catalog.entries.gateway_routes import HTTPRoute, TCPRoute
from meshagent.catalog.entries.graph import Lookup
from meshagent.catalog.entries.table import check, content
from meshagent.catalog.entries.terminating_gateway import TerminatingGateway
from meshagent.catalog.watch import Topic, Watches
from meshagent.errors import InternalError

__all__ = ["ConfigEntries", "WatchedEntries", "virtual_names"]

_encoder = msgspec.msgpack.Encoder(order="deterministic")

#: Kinds that put services behind a gateway.
_GATEWAYS = frozenset({"ingress-gateway", "terminating-gateway"})

#: Kinds whose name is a service that has a virtual address because of them (surface row M5).
_NAMING = ("service-defaults", "service-resolver", "service-router", "service-splitter", "service-intentions")

Key = tuple[str, str]


def virtual_names(entry: Entry) -> list[str]:
    """The services (lower case) that have a virtual address because of an entry."""
    if entry.kind in _NAMING:
        names = [entry.name]
    elif isinstance(entry, TerminatingGateway):
        names = [linked.name for linked in entry.services or ()]
    else:
        names = []
    return [name.lower() for name in names if name and name != "*"]


class WatchedEntries(Lookup):
    """A look-up that notes what to watch for a change of what it was asked."""

    def __init__(self, table: ConfigEntries) -> None:
        super().__init__(self._one, self._all)
        self._table = table
        self.topics: dict[Topic, None] = {}

    def _one(self, kind: str, name: str) -> Entry | None:
        self.topics["config-entry", f"{kind}/{name.lower()}"] = None
        return self._table.get(kind, name)

    def _all(self, kind: str) -> list[Entry]:
        self.topics["config-kind", kind] = None
        return self._table.of_kind(kind)


class ConfigEntries:
    """All config entries of one datacenter, by (kind, name in lower case)."""

    def __init__(self, watches: Watches) -> None:
        self._watches = watches
        self.entries: dict[Key, Entry] = {}
        self.index = 0
        #: Key -> what was there before it changed, while somebody keeps versions (`history.py`).
        self.changed: dict[Key, Entry | None] | None = None
        #: When a gateway entry changed last, and when services last ceased to stand behind one.
        self.gateway_index = 0
        self.gateway_lost = 0

    def get(self, kind: str, name: str) -> Entry | None:
        """One entry."""
        return self.entries.get((kind, name.lower()))

    def of_kind(self, kind: str) -> list[Entry]:
        """The entries of a kind, by name."""
        return [self.entries[key] for key in sorted(key for key in self.entries if key[0] == kind)]

    def all(self) -> list[Entry]:
        """All entries, by kind and name."""
        return [self.entries[key] for key in sorted(self.entries)]

    def watched(self) -> WatchedEntries:
        """The same, which notes what it was asked."""
        return WatchedEntries(self)

    def names_service(self, name: str) -> bool:
        """Whether an entry gives a service (lower case) a virtual address."""
        if any((kind, name) in self.entries for kind in _NAMING):
            return True
        return any(name in virtual_names(entry) for entry in self.of_kind("terminating-gateway"))

    def lookup(self) -> Lookup:
        """What the rules of entries look at."""
        return Lookup(self.get, self.of_kind)

    # --- writes ------------------------------------------------------------------------------------------------

    def set(self, command: commands.ConfigEntrySet, index: int) -> bool:
        entry: Entry = command.entry
        old = self.get(entry.kind, entry.name)
        if command.cas is not None and command.cas != (old.modify_index if old is not None else 0):
            return False
        check(entry)
        if old is not None and content(old) == content(entry):
            return True
        self._refuse(entry.kind, entry.name, entry)
        if isinstance(old, APIGateway | HTTPRoute | TCPRoute):
            entry = msgspec.structs.replace(entry, status=old.status)
        self._put(entry, index)
        self._bind(entry.kind, command.at, index)
        return True

    def delete(self, command: commands.ConfigEntryDelete, index: int) -> bool:
        kind, name = command.kind, command.name
        old = self.get(kind, name)
        if command.cas is not None and (old is None or command.cas != old.modify_index):
            return False
        if kind == "proxy-defaults" or old is not None:
            self._refuse(kind, name, None)
        if old is not None:
            self._remove(old, index)
            self._bind(kind, command.at, index)
        return True

    def load(self, rows: Iterable[Entry]) -> None:
        """Fill the table from a snapshot."""
        self.entries.update(((row.kind, row.name.lower()), row) for row in rows)

    def mirror(self, kind: str, rows: Iterable[Entry]) -> None:
        """Take over the entries of a kind from another table, as they are, and name what changed."""
        fresh: dict[Key, Entry] = {(kind, row.name.lower()): row for row in rows if row.kind == kind}
        held = {key: row for key, row in self.entries.items() if key[0] == kind}
        for key in sorted(fresh.keys() | held.keys()):
            row = fresh.get(key)
            if row == held.get(key):
                continue
            if row is None:
                del self.entries[key]
            else:
                self.entries[key] = row
            self._changed(key, max(self.index, row.modify_index if row is not None else 0))

    def _refuse(self, kind: str, name: str, entry: Entry | None) -> None:
        """Raise if the change would leave another entry invalid."""
        key = (kind, name.lower())

        def get(wanted: str, named: str) -> Entry | None:
            return entry if (wanted, named.lower()) == key else self.get(wanted, named)

        def of_kind(wanted: str) -> list[Entry]:
            if wanted != kind:
                return self.of_kind(wanted)
            rows = {row.name.lower(): row for row in self.of_kind(kind)}
            rows.pop(key[1], None)
            if entry is not None:
                rows[key[1]] = entry
            return [rows[at] for at in sorted(rows)]

        problem = references.problem(Lookup(get, of_kind), kind, name, entry)
        if problem:
            raise InternalError(problem)

    def _put(self, entry: Entry, index: int) -> None:
        key = (entry.kind, entry.name.lower())
        old = self.entries.get(key)
        if self.changed is not None:
            self.changed.setdefault(key, old)
        if old is not None:
            self._lost(key, index)
        self.entries[key] = msgspec.structs.replace(
            entry,
            hash=_hash(entry),
            create_index=old.create_index if old is not None else index,
            modify_index=index,
        )
        self._changed(key, index)

    def _remove(self, entry: Entry, index: int) -> None:
        key = (entry.kind, entry.name.lower())
        if self.changed is not None:
            self.changed.setdefault(key, entry)
        del self.entries[key]
        self._lost(key, index)
        self._changed(key, index)

    def _bind(self, kind: str, at: str, index: int) -> None:
        """Bring statuses and bound gateways up to date."""
        if kind not in binding.KINDS:
            return
        bound = binding.bind(self.lookup(), at)
        for entry in bound:
            old = self.get(entry.kind, entry.name)
            if (
                old is None
                or msgspec.structs.replace(
                    entry, hash=old.hash, create_index=old.create_index, modify_index=old.modify_index
                )
                != old
            ):
                self._put(entry, index)
        kept = {entry.name for entry in bound if entry.kind == "bound-api-gateway"}
        for entry in self.of_kind("bound-api-gateway"):
            if entry.name not in kept:
                self._remove(entry, index)

    def _lost(self, key: Key, index: int) -> None:
        if key[0] in _GATEWAYS:
            self.gateway_lost = index

    def _changed(self, key: Key, index: int) -> None:
        self.index = index
        if key[0] in _GATEWAYS:
            self.gateway_index = index
        self._watches.notify(("config-entry", "/".join(key)))
        self._watches.notify(("config-kind", key[0]))
        self._watches.notify("config-entries")


def _hash(entry: Entry) -> int:
    """64 bits that tell contents apart; what servers compute has none."""
    if entry.kind == "bound-api-gateway":
        return 0
    return int.from_bytes(hashlib.sha256(_encoder.encode(content(entry))).digest()[:8], "big")
