"""The key/value table: compare-and-set, tombstones, prefixes.

Source: surface rows KV1-KV6, E8, E9, C11, C13; developer.hashicorp.com/consul/api-docs/kv. Keys are opaque strings in
byte order of their UTF-8. A deleted key leaves a tombstone with the index of its deletion, so that the index of a
prefix never goes back; the leader reaps tombstones after a while (`ReapTombstones`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sortedcontainers import SortedDict

from meshagent.catalog import commands
from meshagent.catalog.model import KVEntry
from meshagent.catalog.watch import Watches
from meshagent.errors import InternalError

__all__ = ["KVTable"]

#: Sorts after every character a key can hold next, so that `irange(prefix, prefix + _LAST)` is all keys of a prefix.
_LAST = "\U0010ffff" * 4


class KVTable:
    """All keys of one datacenter."""

    def __init__(self, watches: Watches) -> None:
        self._watches = watches
        self.entries: SortedDict = SortedDict()
        self.tombstones: SortedDict = SortedDict()
        self.index = 0

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

    @staticmethod
    def _range(table: SortedDict, prefix: str) -> Iterator[str]:
        if not prefix:
            return iter(table)
        keys: Iterator[str] = table.irange(prefix, prefix + _LAST)
        return keys

    # --- writes ------------------------------------------------------------------------------------------------

    def set(self, command: commands.KVSet, index: int) -> bool:
        self._put(command.key, command.value, command.flags, index)
        return True

    def cas(self, command: commands.KVCas, index: int) -> bool:
        entry = self.entries.get(command.key)
        if command.index != (entry.modify_index if entry is not None else 0):
            return False
        self._put(command.key, command.value, command.flags, index)
        return True

    def delete(self, command: commands.KVDelete, index: int) -> bool:
        self._remove(command.key, index)
        return True

    def delete_cas(self, command: commands.KVDeleteCas, index: int) -> bool:
        entry = self.entries.get(command.key)
        if entry is None:
            return True
        if command.index != entry.modify_index:
            return False
        self._remove(command.key, index)
        return True

    def delete_tree(self, command: commands.KVDeleteTree, index: int) -> bool:
        for key in list(self.prefix_keys(command.prefix)):
            self._remove(key, index)
        return True

    def lock(self, command: commands.KVLock, index: int) -> bool:
        raise InternalError(f'invalid session "{command.session}"')

    def unlock(self, command: commands.KVUnlock, index: int) -> bool:
        return False

    def has_tombstones(self, up_to: int) -> bool:
        """Whether a key deleted at `up_to` or before is remembered."""
        return any(index <= up_to for index in self.tombstones.values())

    def reap(self, up_to: int) -> None:
        """Forget tombstones of `up_to` and before."""
        for key in [key for key, index in self.tombstones.items() if index <= up_to]:
            del self.tombstones[key]

    def load(self, rows: Iterable[KVEntry]) -> None:
        """Fill the table from a snapshot."""
        self.entries.update((row.key, row) for row in rows)

    def _put(self, key: str, value: bytes, flags: int, index: int) -> None:
        old = self.entries.get(key)
        if old is None:
            entry = KVEntry(key=key, value=value or None, flags=flags, create_index=index, modify_index=index)
            self.tombstones.pop(key, None)
        else:
            if old.value == (value or None) and old.flags == flags:
                return
            entry = KVEntry(
                key=key,
                value=value or None,
                flags=flags,
                lock_index=old.lock_index,
                session=old.session,
                create_index=old.create_index,
                modify_index=index,
            )
        self.entries[key] = entry
        self.index = index
        self._watches.notify_key(key)

    def _remove(self, key: str, index: int) -> None:
        if self.entries.pop(key, None) is not None:
            self.tombstones[key] = index
            self.index = index
            self._watches.notify_key(key)
