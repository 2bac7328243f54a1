"""Snapshots of the store: chunks of rows, sealed by a checksum.

Format (version 1), all msgpack: a header `["meshagent", version, index, facts]`, then `[table, [row, ...]]` chunks of
at most `_ROWS` rows and about `_CHUNK_BYTES`, then `["end", sha256 of all chunks before]`. Each chunk is one `bytes` of
the iterator; framing on disk or wire belongs to who stores them.

What may change here: tables may be added; an unknown one is refused, because dropping rows silently loses data. The
version goes up when an old reader could misread.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from meshagent.catalog.acl.model import AuthMethod, BindingRule, Policy, Role, Token
from meshagent.catalog.autopilot.configuration import AutopilotConfig
from meshagent.catalog.ca import CAState
from meshagent.catalog.entries.table import ConfigEntry
from meshagent.catalog.federation_state import FederationState
from meshagent.catalog.history import Version
from meshagent.catalog.introductions import UsedIntroduction
from meshagent.catalog.model import Check, CoordinateRow, KVEntry, Node, PreparedQuery, Service, Session
from meshagent.catalog.peering.model import Peering, PeeringSecrets, TrustBundle
from meshagent.catalog.watch import Topic
from meshagent.errors import CorruptData

if TYPE_CHECKING:
    from meshagent.catalog.store import Store

__all__ = ["VERSION", "Reader", "digest", "table_rows", "write"]

VERSION = 1
#: Rows in one chunk: small enough that encoding one holds the loop for well under a millisecond.
_ROWS = 500
#: A chunk of large rows (values of keys) has fewer: the number follows the size of the chunk before.
_CHUNK_BYTES = 1 << 20
_FIRST_ROWS = 16
#: A chunk that came out larger is made again in halves. A restore takes no chunk of more than four times as much.
_MAX_CHUNK_BYTES = 8 << 20

_encoder = msgspec.msgpack.Encoder()


class _Facts(msgspec.Struct, array_like=True):
    """What the store knows beside its rows."""

    service_extinction: int
    gone_nodes: dict[str, int]
    kv_index: int
    coordinates_index: int
    virtual_ips: dict[str, int]
    sessions_index: int = 0
    prepared_queries_index: int = 0
    config_index: int = 0
    gateway_index: int = 0
    gateway_lost: int = 0
    cluster_id: str = ""
    manual_ips: dict[str, tuple[str, tuple[str, ...]]] = {}
    acl_bootstrap_index: int = 0
    acl_indexes: dict[str, int] = {}
    history_bounds: tuple[int, int] = (0, 0)
    peerings_index: int = 0


class _Rows(Protocol):
    """The rows of one table, as they were when the snapshot began."""

    def take(self, count: int) -> list[Any]:
        """`count` more of them, or nearly; none when all were taken."""


class _Listed:
    """Rows of a table of moderate size: references, copied at once."""

    def __init__(self, rows: list[Any]) -> None:
        self._rows = rows
        self._taken = 0

    def take(self, count: int) -> list[Any]:
        begin = self._taken
        self._taken += count
        return self._rows[begin : begin + count]


class _Pairs:
    """Rows of two parts, paired only when a chunk of them is encoded."""

    def __init__(self, table: dict[Any, Any], pair: Callable[[Any, Any], tuple[Any, ...]]) -> None:
        self._keys = _Listed(list(table))
        self._values = _Listed(list(table.values()))
        self._pair = pair

    def take(self, count: int) -> list[tuple[Any, ...]]:
        return list(map(self._pair, self._keys.take(count), self._values.take(count)))


def _topic_row(topic: Topic, index: int) -> tuple[str, str, int]:
    return (topic, "", index) if isinstance(topic, str) else (topic[0], topic[1], index)


def _tables(store: Store) -> list[tuple[str, _Rows]]:
    """Every table as it is now, while commands go on."""
    registrations = store.registrations
    return [
        ("topics", _Pairs(registrations.changed, _topic_row)),
        ("nodes", _Listed(list(registrations.nodes.values()))),
        ("services", _Pairs(registrations.services, lambda key, row: (key[0], row))),
        ("checks", _Listed(list(registrations.checks.values()))),
        ("kv", store.kv.entry_copies.begin(lambda key, row: row)),
        ("tombstones", store.kv.tombstone_copies.begin(lambda key, index: (key, index))),
        ("sessions", _Listed(list(store.sessions.rows.values()))),
        ("coordinates", _Listed([row for rows in store.coordinates.rows.values() for row in rows.values()])),
        ("prepared-queries", _Listed(list(store.prepared_queries.rows.values()))),
        ("config-entries", _Listed(list(store.config.entries.values()))),
        ("connect-ca", _Listed(list(store.ca.state()))),
        ("autopilot", _Listed(list(store.autopilot.rows))),
        ("federation-states", _Listed(list(store.federation.rows.values()))),
        ("peerings", _Listed(list(store.peerings.rows.values()))),
        ("peering-secrets", _Listed(list(store.peerings.secrets.values()))),
        ("peering-bundles", _Listed(list(store.peerings.bundles.values()))),
        ("imported-topics", _Listed(store.imported.rows("topics"))),
        ("imported-nodes", _Listed(store.imported.rows("nodes"))),
        ("imported-services", _Listed(store.imported.rows("services"))),
        ("imported-checks", _Listed(store.imported.rows("checks"))),
        ("introductions", _Listed(list(store.introductions.rows.values()))),
        ("acl-tokens", _Listed(list(store.acl.tokens.values()))),
        ("acl-policies", _Listed(list(store.acl.policies.values()))),
        ("acl-roles", _Listed(list(store.acl.roles.values()))),
        ("acl-auth-methods", _Listed(list(store.acl.methods.values()))),
        ("acl-binding-rules", _Listed(list(store.acl.rules.values()))),
        ("acl-tokens-used", _Listed(list(store.acl.used.items()))),
        ("history", _Listed(store.history.rows())),
    ]


_Loader = tuple[msgspec.msgpack.Decoder[Any], Callable[["Store", list[Any]], None]]


def _loader(row: Any, load: Callable[[Store, list[Any]], None]) -> _Loader:
    return msgspec.msgpack.Decoder(tuple[str, list[row]]), load


_LOADERS: dict[str, _Loader] = {
    "topics": (
        msgspec.msgpack.Decoder(tuple[str, list[tuple[str, str, int]]]),
        lambda store, rows: store.registrations.load_topics(rows),
    ),
    "nodes": (
        msgspec.msgpack.Decoder(tuple[str, list[Node]]),
        lambda store, rows: store.registrations.load_nodes(rows),
    ),
    "services": (
        msgspec.msgpack.Decoder(tuple[str, list[tuple[str, Service]]]),
        lambda store, rows: store.registrations.load_services(rows),
    ),
    "checks": (
        msgspec.msgpack.Decoder(tuple[str, list[Check]]),
        lambda store, rows: store.registrations.load_checks(rows),
    ),
    "kv": (msgspec.msgpack.Decoder(tuple[str, list[KVEntry]]), lambda store, rows: store.kv.load(rows)),
    "tombstones": (
        msgspec.msgpack.Decoder(tuple[str, list[tuple[str, int]]]),
        lambda store, rows: store.kv.load_tombstones(rows),
    ),
    "sessions": (
        msgspec.msgpack.Decoder(tuple[str, list[Session]]),
        lambda store, rows: store.sessions.load(rows),
    ),
    "coordinates": (
        msgspec.msgpack.Decoder(tuple[str, list[CoordinateRow]]),
        lambda store, rows: store.coordinates.load(rows),
    ),
    "prepared-queries": (
        msgspec.msgpack.Decoder(tuple[str, list[PreparedQuery]]),
        lambda store, rows: store.prepared_queries.load(rows),
    ),
    "config-entries": (
        msgspec.msgpack.Decoder(tuple[str, list[ConfigEntry]]),
        lambda store, rows: store.config.load(rows),
    ),
    "connect-ca": (
        msgspec.msgpack.Decoder(tuple[str, list[CAState]]),
        lambda store, rows: store.ca.load(rows),
    ),
    "introductions": (
        msgspec.msgpack.Decoder(tuple[str, list[UsedIntroduction]]),
        lambda store, rows: store.introductions.load(rows),
    ),
    "federation-states": (
        msgspec.msgpack.Decoder(tuple[str, list[FederationState]]),
        lambda store, rows: store.federation.load(rows),
    ),
    "peerings": _loader(Peering, lambda store, rows: store.peerings.load(rows)),
    "peering-secrets": _loader(PeeringSecrets, lambda store, rows: store.peerings.load_secrets(rows)),
    "peering-bundles": _loader(TrustBundle, lambda store, rows: store.peerings.load_bundles(rows)),
    "imported-topics": _loader(tuple[str, str, str, int], lambda store, rows: store.imported.load_topics(rows)),
    "imported-nodes": _loader(tuple[str, Node], lambda store, rows: store.imported.load_nodes(rows)),
    "imported-services": _loader(tuple[str, str, Service], lambda store, rows: store.imported.load_services(rows)),
    "imported-checks": _loader(tuple[str, Check], lambda store, rows: store.imported.load_checks(rows)),
    "acl-tokens": _loader(Token, lambda store, rows: store.acl.load_tokens(rows)),
    "acl-policies": _loader(Policy, lambda store, rows: store.acl.load_policies(rows)),
    "acl-roles": _loader(Role, lambda store, rows: store.acl.load_roles(rows)),
    "acl-auth-methods": _loader(AuthMethod, lambda store, rows: store.acl.load_methods(rows)),
    "acl-binding-rules": _loader(BindingRule, lambda store, rows: store.acl.load_rules(rows)),
    "acl-tokens-used": (
        msgspec.msgpack.Decoder(tuple[str, list[tuple[str, str]]]),
        lambda store, rows: store.acl.used.update(rows),
    ),
    "history": (
        msgspec.msgpack.Decoder(tuple[str, list[Version]]),
        lambda store, rows: store.history.load(rows),
    ),
    "autopilot": (
        msgspec.msgpack.Decoder(tuple[str, list[AutopilotConfig]]),
        lambda store, rows: store.autopilot.load(rows),
    ),
}
_header_decoder = msgspec.msgpack.Decoder(tuple[str, int, int, _Facts])
_name_decoder = msgspec.msgpack.Decoder(tuple[str, msgspec.Raw])
_parts_decoder = msgspec.msgpack.Decoder(list[msgspec.Raw])
_end_decoder = msgspec.msgpack.Decoder(tuple[str, bytes])


def write(store: Store) -> Iterator[bytes]:
    """The chunks of a snapshot of `store` as it is now; they are encoded while iterating."""
    registrations = store.registrations
    facts = _Facts(
        service_extinction=registrations.service_extinction,
        gone_nodes=dict(registrations.gone_nodes),
        kv_index=store.kv.index,
        coordinates_index=store.coordinates.index,
        virtual_ips=dict(registrations.virtual_ips.offsets),
        prepared_queries_index=store.prepared_queries.index,
        sessions_index=store.sessions.index,
        config_index=store.config.index,
        gateway_index=store.config.gateway_index,
        gateway_lost=store.config.gateway_lost,
        cluster_id=store.cluster_id,
        manual_ips=dict(registrations.virtual_ips.manual),
        acl_bootstrap_index=store.acl.bootstrap_index,
        acl_indexes=store.acl.indexes,
        history_bounds=(store.history.versions, store.history.max_bytes),
        peerings_index=store.peerings.index,
    )
    return _encode(store.index, facts, _tables(store))


def _encode(index: int, facts: _Facts, tables: list[tuple[str, _Rows]]) -> Iterator[bytes]:
    sha = hashlib.sha256()
    chunk = _encoder.encode(("meshagent", VERSION, index, facts))
    sha.update(chunk)
    yield chunk
    for name, table in tables:
        count = _FIRST_ROWS
        while rows := table.take(count):
            size = 0
            for chunk in _cut(name, rows):
                sha.update(chunk)
                yield chunk
                size += len(chunk)
            count = max(1, min(_ROWS, 4 * count, count * _CHUNK_BYTES // size))
    yield _encoder.encode(("end", sha.digest()))


def _cut(name: str, rows: Sequence[Any]) -> Iterator[bytes]:
    chunk = _encoder.encode((name, rows))
    if len(chunk) <= _MAX_CHUNK_BYTES or len(rows) < 2:
        yield chunk
        return
    half = len(rows) // 2
    yield from _cut(name, rows[:half])
    yield from _cut(name, rows[half:])


class Reader:
    """Fills the empty `store`, chunk by chunk."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sha = hashlib.sha256()
        self._head: tuple[int, _Facts] | None = None
        self._ended = False

    def load(self, chunk: bytes) -> None:
        """Raises CorruptData: the chunk is damaged, or comes from a later release."""
        try:
            if self._head is None:
                self._load_head(chunk)
            else:
                self._load_rows(chunk)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise CorruptData(f"snapshot is damaged: {error}") from error

    def _load_head(self, chunk: bytes) -> None:
        magic, version, index, facts = _header_decoder.decode(chunk)
        if magic != "meshagent" or version != VERSION:
            raise CorruptData(
                f"snapshot of an unknown format ({magic} version {version}; this release reads {VERSION})"
            )
        self._head = index, facts
        self._sha.update(chunk)

    def _load_rows(self, chunk: bytes) -> None:
        if self._ended:
            raise CorruptData("snapshot has data after its end")
        name, _ = _name_decoder.decode(chunk)
        if name == "end":
            _, expected = _end_decoder.decode(chunk)
            if expected != self._sha.digest():
                raise CorruptData("snapshot checksum does not match")
            self._ended = True
            return
        self._sha.update(chunk)
        if name not in _LOADERS:
            raise CorruptData(f"snapshot holds a table {name!r} that this release does not know")
        decoder, load = _LOADERS[name]
        load(self._store, decoder.decode(chunk)[1])

    def finish(self) -> None:
        """All chunks were loaded. Raises CorruptData when one is missing."""
        if self._head is None:
            raise CorruptData("snapshot is damaged: empty")
        if not self._ended:
            raise CorruptData("snapshot is cut short")
        _load_facts(self._store, *self._head)


def table_rows(chunk: bytes) -> tuple[str, list[msgspec.Raw]]:
    """The table that a chunk belongs to and its rows, encoded; none for the first and the last. Raises CorruptData."""
    try:
        parts = _parts_decoder.decode(chunk)
        name = msgspec.msgpack.decode(parts[0], type=str)
        if name in ("meshagent", "end"):
            return name, []
        return name, _parts_decoder.decode(parts[1])
    except (msgspec.DecodeError, UnicodeDecodeError, IndexError) as error:
        raise CorruptData(f"snapshot is damaged: {error}") from error


def _load_facts(store: Store, index: int, facts: _Facts) -> None:
    store.index = index
    store.cluster_id = facts.cluster_id
    registrations = store.registrations
    registrations.service_extinction = facts.service_extinction
    registrations.gone_nodes = dict(facts.gone_nodes)
    registrations.virtual_ips.load(facts.virtual_ips)
    registrations.virtual_ips.load_manual(facts.manual_ips)
    store.acl.load_indexes(facts.acl_bootstrap_index, facts.acl_indexes)
    store.history.versions, store.history.max_bytes = facts.history_bounds
    store.peerings.index = facts.peerings_index
    store.kv.index = facts.kv_index
    store.coordinates.index = facts.coordinates_index
    store.prepared_queries.index = facts.prepared_queries_index
    store.sessions.index = facts.sessions_index
    store.config.index = facts.config_index
    store.config.gateway_index = facts.gateway_index
    store.config.gateway_lost = facts.gateway_lost


def digest(store: Store) -> str:
    """SHA-256 over all rows and facts in a canonical order."""
    sha = hashlib.sha256()
    for name, rows in _tables(store):
        for encoded in sorted(_encoder.encode(row) for row in rows.take(sys.maxsize)):
            sha.update(name.encode() + encoded)
    registrations = store.registrations
    facts = (
        store.index,
        registrations.service_extinction,
        sorted(registrations.gone_nodes.items()),
        store.kv.index,
        store.coordinates.index,
        store.sessions.index,
        sorted(registrations.virtual_ips.offsets.items()),
        store.prepared_queries.index,
        store.config.index,
        store.config.gateway_index,
        store.config.gateway_lost,
        store.cluster_id,
        sorted(registrations.virtual_ips.manual.items()),
        store.acl.bootstrap_index,
        sorted(store.acl.indexes.items()),
        (store.history.versions, store.history.max_bytes),
        store.peerings.index,
    )
    sha.update(_encoder.encode(facts))
    return sha.hexdigest()
