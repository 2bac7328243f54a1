"""What keys and config entries were before, who changed them and when: the last versions of each, bounded in bytes.

Off until a write says so: an `Authored` command carries author, time and bounds, so that every server keeps the same
versions whatever its own configuration says. From then on changes without an author (a session that ends, a server
that does not record) are noted for what has a history already.

Source: ours; no peer has it. Surface rows KV1 and CF1 say what a version is a version of. What may change here: fields
of `Version` at the end, with a default (rows live in snapshots); which one goes first decides what two servers hold.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from meshagent.catalog.entries.entry import Entry
from meshagent.catalog.entries.table import ConfigEntry, content
from meshagent.catalog.model import KVEntry

if TYPE_CHECKING:
    from meshagent.catalog.commands import Authored
    from meshagent.catalog.config_entries import ConfigEntries
    from meshagent.catalog.kv import KVTable

__all__ = ["History", "Shelf", "Version", "entry_of"]

#: What a version costs beside its key and value: the row, its place in the order, author and time.
_OVERHEAD_BYTES = 400

_encode = msgspec.msgpack.Encoder(order="deterministic").encode
_entry_decoder: msgspec.msgpack.Decoder[ConfigEntry] = msgspec.msgpack.Decoder(ConfigEntry)


class Version(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One state of a key ("kv") or config entry ("config": the key is `kind/name` in lower case).

    `index` is the ModifyIndex that it got, `at` RFC 3339; both of `at` and the author are "" where nobody said. `value`
    is a key's value or an entry in msgpack, None when it was deleted.
    """

    table: str
    key: str
    index: int
    value: bytes | None
    flags: int = 0
    at: str = ""
    accessor: str = ""
    name: str = ""
    agent: str = ""

    @property
    def size_bytes(self) -> int:
        """What it counts for."""
        return _OVERHEAD_BYTES + len(self.key) + len(self.value or b"")


def entry_of(version: Version) -> Entry | None:
    """The config entry of a version; None when it was deleted."""
    return None if version.value is None else _entry_decoder.decode(version.value)


class Shelf:
    """The versions of one table."""

    def __init__(self, table: str) -> None:
        self.table = table
        #: All versions, oldest first.
        self.rows: OrderedDict[tuple[str, int], Version] = OrderedDict()
        self.size_bytes = 0
        self._by_key: dict[str, list[Version]] = {}

    def of(self, key: str) -> tuple[Version, ...]:
        """The versions of a key, oldest first."""
        return tuple(self._by_key.get(key, ()))

    def add(self, version: Version, versions: int, max_bytes: int) -> None:
        """Put a version behind all others; what is too old or too much goes."""
        held = self._by_key.setdefault(version.key, [])
        held.append(version)
        self.rows[version.key, version.index] = version
        self.size_bytes += version.size_bytes
        while len(held) > versions:
            self._drop(held[0])
        while self.size_bytes > max_bytes and self.rows:
            self._drop(next(iter(self.rows.values())))

    def load(self, rows: Iterable[Version]) -> None:
        """Take rows of a snapshot, in their order."""
        for row in rows:
            self._by_key.setdefault(row.key, []).append(row)
            self.rows[row.key, row.index] = row
            self.size_bytes += row.size_bytes

    def parts(self) -> list[dict[Any, Any]]:
        """What may be emptied bit by bit once nobody needs it."""
        return [self.rows, self._by_key]

    def clear(self) -> None:
        """Forget all of them."""
        self.rows.clear()
        self._by_key.clear()
        self.size_bytes = 0

    def _drop(self, version: Version) -> None:
        del self.rows[version.key, version.index]
        self.size_bytes -= version.size_bytes
        held = self._by_key[version.key]
        held.remove(version)
        if not held:
            del self._by_key[version.key]


class History:
    """Both tables. The store calls `begin` before what an author does, and `settle` after every command that changed
    something that is recorded."""

    def __init__(self, kv: KVTable, config: ConfigEntries) -> None:
        self._kv = kv
        self._config = config
        self.kv = Shelf("kv")
        self.config = Shelf("config")
        #: How many versions of each are kept, and how many bytes of each table, as the last author's write said.
        self.versions = 0
        self.max_bytes = 0
        self._author: Authored | None = None
        self._keys: dict[str, KVEntry | None] = {}
        self._entries: dict[tuple[str, str], Entry | None] = {}

    def rows(self) -> list[Version]:
        """All versions."""
        return [*self.kv.rows.values(), *self.config.rows.values()]

    def load(self, rows: Iterable[Version]) -> None:
        """Take rows of a snapshot."""
        for row in rows:
            (self.config if row.table == "config" else self.kv).load((row,))
        self._watch()

    def begin(self, author: Authored) -> None:
        """What is done until `settle` is the author's."""
        self._author = author
        self.versions, self.max_bytes = author.versions, author.max_bytes
        self._kv.changed, self._config.changed = self._keys, self._entries

    def settle(self, index: int) -> None:
        """Keep what was changed: a transaction that was taken back has changed nothing."""
        for key, old in self._keys.items():
            self._note(self.kv, key, old, self._kv.entries.get(key), index, _same_key, _key_value)
        for (kind, name), before in self._entries.items():
            now = self._config.entries.get((kind, name))
            self._note(self.config, f"{kind}/{name}", before, now, index, _same_entry, _entry_value)
        self._keys.clear()
        self._entries.clear()
        self._author = None
        self._watch()

    def drop(self) -> None:
        """Forget everything, and record nothing until an author writes again."""
        self.kv.clear()
        self.config.clear()
        self.versions = self.max_bytes = 0
        self._watch()

    def _watch(self) -> None:
        """Have the tables tell of their changes only while there is a history: a plain write costs nothing then."""
        self._kv.changed = self._keys if self.kv.rows else None
        self._config.changed = self._entries if self.config.rows else None

    def _note(
        self,
        shelf: Shelf,
        key: str,
        old: Any,
        now: Any,
        index: int,
        same: Callable[[Any, Any], bool],
        value: Callable[[Any], tuple[bytes, int]],
    ) -> None:
        author = self._author
        known = bool(shelf.of(key))
        if (author is None and not known) or same(old, now):
            return
        if old is not None and not known:  # what was there before anything was recorded
            shelf.add(Version(shelf.table, key, old.modify_index, *value(old)), self.versions, self.max_bytes)
        kept, flags = value(now) if now is not None else (None, 0)
        who = ("", "", "", "") if author is None else (author.at, author.accessor, author.name, author.agent)
        shelf.add(Version(shelf.table, key, index, kept, flags, *who), self.versions, self.max_bytes)


def _same_key(old: KVEntry | None, now: KVEntry | None) -> bool:
    """A lock that comes or goes is no new version."""
    if old is None or now is None:
        return old is now
    return old is now or (old.value == now.value and old.flags == now.flags)


def _key_value(entry: KVEntry) -> tuple[bytes, int]:
    return entry.value or b"", entry.flags


def _same_entry(old: Entry | None, now: Entry | None) -> bool:
    if old is None or now is None:
        return old is now
    return old is now or content(old) == content(now)


def _entry_value(entry: Entry) -> tuple[bytes, int]:
    return _encode(entry), 0
