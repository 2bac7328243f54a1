"""What is in a snapshot: how many rows of which type, how many bytes, and which keys take the room.

Source: surface row CL13; developer.hashicorp.com/consul/commands/snapshot/inspect. Types carry Consul's names where it
has such a type, else the name of our table. Pure: chunks in, counts out.

What may be changed: a row in `_TYPES` for a new table.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from meshagent.catalog.model import KVEntry
from meshagent.catalog.snapshot import table_rows
from meshagent.errors import CorruptData

__all__ = ["Count", "Summary"]

_TYPES = {
    "meshagent": "SystemMetadata",
    "topics": "Index",
    "nodes": "Register",
    "services": "Register",
    "checks": "Register",
    "kv": "KVS",
    "tombstones": "Tombstone",
    "sessions": "Session",
    "coordinates": "CoordinateBatchUpdate",
    "prepared-queries": "PreparedQuery",
    "config-entries": "ConfigEntry",
    "autopilot": "Autopilot",
    "federation-states": "FederationState",
    "connect-ca": "ConnectCA",
    "introductions": "Introduction",
}


@dataclass(slots=True)
class Count:
    """How many, and of how many bytes."""

    count: int = 0
    size: int = 0

    def add(self, size: int) -> None:
        self.count += 1
        self.size += size


@dataclass(slots=True)
class Summary:
    """Give it every chunk, in order. `kv_depth` groups keys by their first parts, `kv_filter` is a prefix; 0 counts no
    keys."""

    kv_depth: int = 0
    kv_filter: str = ""
    types: dict[str, Count] = field(default_factory=dict)
    keys: dict[str, Count] = field(default_factory=dict)

    def chunk(self, chunk: bytes) -> None:
        """Raises CorruptData."""
        table, rows = table_rows(chunk)
        if table == "end":
            return
        counted = self.types.setdefault(_TYPES.get(table, table), Count())
        if table == "meshagent":
            counted.add(len(chunk))
        for row in rows:
            counted.add(len(memoryview(row)))
            if table == "kv" and self.kv_depth:
                self._key(row)

    def _key(self, row: msgspec.Raw) -> None:
        try:
            key = msgspec.msgpack.decode(row, type=KVEntry).key
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise CorruptData(f"snapshot is damaged: {error}") from error
        if key.startswith(self.kv_filter):
            group = "/".join(key.split("/")[: self.kv_depth])
            self.keys.setdefault(group, Count()).add(len(memoryview(row)))

    @staticmethod
    def largest_first(counts: dict[str, Count]) -> list[tuple[str, Count]]:
        """By size, then by name."""
        return sorted(counts.items(), key=lambda item: (-item[1].size, item[0]))
