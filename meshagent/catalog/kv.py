"""The key/value table: compare-and-set, locks, tombstones, prefixes.

Source: surface rows KV1-KV6, E8, E9, C11, C13; developer.hashicorp.com/consul/api-docs/kv. Keys are opaque strings in
byte order of their UTF-8. A deleted key leaves a tombstone with the index of its deletion, so that the index of a
prefix never goes back; the leader reaps tombstones after a while (`ReapTombstones`).

A lock is a session's id in the entry, and advice: plain writes and deletes go past it. A plain write keeps the holder
and sets `lock_index` back to 0, as Consul's does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from msgspec.structs import force_setattr

from meshagent.catalog import commands
from meshagent.catalog.copying import Copies
from meshagent.catalog.model import KVEntry
from meshagent.catalog.sorted_table import SortedTable
from meshagent.catalog.undo import Undo
from meshagent.catalog.watch import Watches

__all__ = ["KVTable"]

#: Sorts after every character a key can hold next, so that `between(prefix, prefix + _LAST)` is all keys of a prefix.
_LAST = "\U0010ffff" * 4


class KVTable:
    """All keys of one datacenter."""

    def __init__(self, watches: Watches, undo: Undo) -> None:
        self._watches = watches
        self._undo = undo
        self.entries: SortedTable[KVEntry] = SortedTable()
        self.tombstones: SortedTable[int] = SortedTable()
        self.entry_copies = Copies(self.entries)
        self.tombstone_copies = Copies(self.tombstones)
        self.index = 0
        #: Key -> what was there before it changed, while somebody keeps versions (`history.py`).
        self.changed: dict[str, KVEntry | None] | None = None
        self._held: dict[str, set[str]] = {}
        """Session -> the keys whose lock it holds; derived from the entries."""

    # --- reads -------------------------------------------------------------------------------------------------

    def get(self, key: str) -> KVEntry | None:
        """The entry of `key`."""
        entry: KVEntry | None = self.entries.get(key)
        return entry

    def prefix_keys(self, prefix: str) -> Iterator[str]:
        """The keys that start with `prefix`, in order."""
        return self._range(self.entries, prefix)

    def prefix_index(self, prefix: str) -> int:
        """The index of the last change under `prefix`; the table's when nothing was ever there."""
        if not prefix:
            return self.index
        last = 0
        for key in self.prefix_keys(prefix):
            index = self.entries[key].modify_index
            if index > last:
                last = index
        for key in self._range(self.tombstones, prefix):
            last = max(last, self.tombstones[key])
        return last or self.index

    def held_by(self, session: str) -> list[str]:
        """The keys whose lock a session holds, in order."""
        return sorted(self._held.get(session, ()))

    @staticmethod
    def _range(table: SortedTable[Any], prefix: str) -> Iterator[str]:
        return table.between(prefix, prefix + _LAST) if prefix else iter(table)

    # --- writes ------------------------------------------------------------------------------------------------

    def set(self, command: commands.KVSet, index: int) -> bool:
        key = command.key
        old = self.entries.get(key)
        self._write(key, old, command.value, command.flags, 0, old.session if old is not None else "", index)
        return True

    def cas(self, command: commands.KVCas, index: int) -> bool:
        entry = self.entries.get(command.key)
        if command.index != (entry.modify_index if entry is not None else 0):
            return False
        self.put(command.key, command.value, command.flags, index)
        return True

    def delete(self, command: commands.KVDelete, index: int) -> bool:
        self.remove(command.key, index)
        return True

    def delete_cas(self, command: commands.KVDeleteCas, index: int) -> bool:
        entry = self.entries.get(command.key)
        if entry is None:
            return True
        if command.index != entry.modify_index:
            return False
        self.remove(command.key, index)
        return True

    def delete_tree(self, command: commands.KVDeleteTree, index: int) -> bool:
        for key in list(self.prefix_keys(command.prefix)):
            self.remove(key, index)
        return True

    def lock(self, command: commands.KVLock, index: int) -> bool:
        """Write the key and take its lock for a session that exists; False when another one holds it."""
        entry = self.entries.get(command.key)
        lock_index = 1
        if entry is not None:
            if entry.session and entry.session != command.session:
                return False
            lock_index = entry.lock_index if entry.session else entry.lock_index + 1
        self._write(command.key, entry, command.value, command.flags, lock_index, command.session, index)
        return True

    def unlock(self, command: commands.KVUnlock, index: int) -> bool:
        """Write the key and give its lock back; False when the session does not hold it."""
        entry = self.entries.get(command.key)
        if entry is None or entry.session != command.session:
            return False
        self._write(command.key, entry, command.value, command.flags, entry.lock_index, "", index)
        return True

    def release(self, key: str, index: int) -> None:
        """Free the lock of a key that is there: its session has ended."""
        entry = self.entries[key]
        self._write(key, entry, entry.value or b"", entry.flags, entry.lock_index, "", index)

    def has_tombstones(self, up_to: int) -> bool:
        """Whether a key deleted at `up_to` or before is remembered."""
        return any(index <= up_to for index in self.tombstones.each_value())

    def reap(self, up_to: int) -> None:
        """Forget tombstones of `up_to` and before."""
        for key in [key for key, index in self.tombstones.each_item() if index <= up_to]:
            self.tombstone_copies.before(key)
            del self.tombstones[key]

    def load(self, rows: Sequence[KVEntry]) -> None:
        """Take rows of a snapshot."""
        for row in rows:
            if row.create_index == row.modify_index:  # one number instead of two equal ones: 32 MB in a million
                force_setattr(row, "create_index", row.modify_index)
            if row.session:
                self._held.setdefault(row.session, set()).add(row.key)
        self.entries.extend({row.key: row for row in rows})

    def load_tombstones(self, rows: Iterable[tuple[str, int]]) -> None:
        """Take tombstones of a snapshot: keys, and when they were deleted."""
        self.tombstones.extend(dict(rows))

    def put(self, key: str, value: bytes, flags: int, index: int) -> None:
        """Write a key as a plain PUT does."""
        old = self.entries.get(key)
        self._write(key, old, value, flags, 0, old.session if old is not None else "", index)

    def _write(
        self, key: str, old: KVEntry | None, value: bytes, flags: int, lock_index: int, session: str, index: int
    ) -> None:
        """`old` is what is there."""
        kept = value or None
        if old is not None and (
            old.value == kept and old.flags == flags and old.lock_index == lock_index and old.session == session
        ):
            return
        entry = KVEntry(
            key=key,
            value=kept,
            flags=flags,
            lock_index=lock_index,
            session=session,
            create_index=old.create_index if old is not None else index,
            modify_index=index,
        )
        self._change(key, old, entry, None, index)

    def remove(self, key: str, index: int) -> None:
        """Delete a key, if it is there."""
        old = self.entries.get(key)
        if old is not None:
            self._change(key, old, None, index, index)

    def _put_back(self, key: str, entry: KVEntry | None, tombstone: int | None, index: int) -> None:
        """What was there before a transaction."""
        self._change(key, self.entries.get(key), entry, tombstone, index)

    def _change(self, key: str, old: KVEntry | None, entry: KVEntry | None, tombstone: int | None, index: int) -> None:
        """Put an entry in the place of `old`, or a tombstone, and keep what is derived from them."""
        if self.changed is not None:
            self.changed.setdefault(key, old)
        if self._undo.active:
            self._undo.note(self._put_back, key, old, self.tombstones.get(key), self.index)
        if self.entry_copies.under_way:
            self.entry_copies.before(key)
        if self.tombstone_copies.under_way:
            self.tombstone_copies.before(key)
        if entry is not None:
            self.entries[key] = entry
        elif old is not None:
            del self.entries[key]
        if tombstone is not None:
            self.tombstones[key] = tombstone
        elif old is None:
            self.tombstones.pop(key, None)
        if old is not None and old.session:
            self._held[old.session].discard(key)
            if not self._held[old.session]:
                del self._held[old.session]
        if entry is not None and entry.session:
            self._held.setdefault(entry.session, set()).add(key)
        self.index = index
        self._watches.notify_key(key)
