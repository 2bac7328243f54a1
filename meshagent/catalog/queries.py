"""Pure reads: a store and a question in, rows, index and topics out.

Source: surface rows C11, CT4-CT9, HL1-HL6, KV1-KV4, CO2. `Result.index` is what a blocking query waits on (at least 1);
`Result.topics` is what to subscribe to for its wake-up. The index of something that does not exist follows Consul: a
service that never was has the newest index of its tables, one that is gone the index at which a service last vanished.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

import msgspec

from meshagent.catalog.coordinates import sort_by_distance as _sort_by_distance
from meshagent.catalog.entries.entry import Entry
from meshagent.catalog.gateway_services import (
    NO_GATEWAYS,
    GatewayService,
    gateways_for,
    gateways_of,
    has_wildcard,
    last_change,
)
from meshagent.catalog.gateway_services import gateway_services as _gateway_services
from meshagent.catalog.model import (
    Check,
    CoordinateRow,
    KVEntry,
    Node,
    PreparedQuery,
    Service,
    ServiceEntry,
    Session,
)
from meshagent.catalog.peering.imported import peer_topic
from meshagent.catalog.registrations import Registrations
from meshagent.catalog.store import Store
from meshagent.catalog.watch import Topic

__all__ = [
    "Result",
    "by_address",
    "config_entries",
    "config_entry",
    "coordinate_node",
    "coordinate_nodes",
    "gateway_services",
    "health_checks",
    "health_ingress",
    "health_node",
    "health_service",
    "health_state",
    "kv_get",
    "kv_keys",
    "kv_list",
    "node",
    "node_services",
    "nodes",
    "prepared_query",
    "prepared_query_list",
    "service_nodes",
    "services",
    "session",
    "session_list",
    "session_node",
    "sort_by_distance",
]

T = TypeVar("T")


class Result(msgspec.Struct, Generic[T], frozen=True):
    """The answer to a read: `rows`, the `index` of its last change (>= 1), and the `topics` that change it."""

    rows: T
    index: int
    topics: tuple[Topic, ...]


def _result(rows: T, index: int, *topics: Topic, peer: str = "") -> Result[T]:
    return Result(rows, index or 1, _topics(peer, *topics))


def _topics(peer: str, *topics: Topic) -> tuple[Topic, ...]:
    return tuple(peer_topic(peer, topic) for topic in topics) if peer else topics


def _has_meta(meta: Mapping[str, str] | None, wanted: Mapping[str, str]) -> bool:
    return all((meta or {}).get(key) == value for key, value in wanted.items())


# --- nodes and services ----------------------------------------------------------------------------------------


def nodes(store: Store, node_meta: Mapping[str, str] | None = None, peer: str = "") -> Result[list[Node]]:
    """All nodes by name; with `peer` those imported from it, here as in the other reads that have it."""
    registrations = store.place(peer)
    table = registrations.nodes
    rows = [table[name] for name in sorted(table) if not node_meta or _has_meta(table[name].meta, node_meta)]
    return _result(rows, registrations.index("nodes"), "nodes", peer=peer)


def node(store: Store, name_or_id: str, peer: str = "") -> Result[Node | None]:
    """One node by name or id."""
    registrations = store.place(peer)
    found = registrations.node(name_or_id)
    key = found.name.lower() if found is not None else name_or_id.lower()
    topics: tuple[Topic, ...] = (("node", key),) if found is not None else (("node", key), "nodes")
    return _result(found, _node_index(registrations, key), *topics, peer=peer)


def _node_index(registrations: Registrations, key: str) -> int:
    """A node that never was has the index at which one last went."""
    gone = registrations.gone_nodes
    return registrations.index(("node", key)) or gone.get(key) or max(gone.values(), default=0)


def services(
    store: Store, node_meta: Mapping[str, str] | None = None, peer: str = ""
) -> Result[dict[str, tuple[str, ...]]]:
    """Service name -> all tags of its instances."""
    registrations = store.place(peer)
    tags: dict[str, dict[str, None]] = {}
    for (node_key, _), service in registrations.services.items():
        if node_meta and not _has_meta(registrations.nodes[node_key].meta, node_meta):
            continue
        tags.setdefault(service.name, {}).update(dict.fromkeys(service.tags))
    rows = {name: tuple(found) for name, found in sorted(tags.items())}
    if node_meta:
        index = max(registrations.index("services"), registrations.index("nodes"))
        return _result(rows, index, "services", "nodes", peer=peer)
    return _result(rows, registrations.index("services"), "services", peer=peer)


def node_services(store: Store, name_or_id: str, peer: str = "") -> Result[tuple[Node, list[Service]] | None]:
    """A node and its instances."""
    found = node(store, name_or_id, peer)
    if found.rows is None:
        return Result(None, found.index, found.topics)
    return Result((found.rows, store.place(peer).on_node(found.rows.name)), found.index, found.topics)


def _tagged(service: Service, wanted: Sequence[str]) -> bool:
    have = {tag.lower() for tag in service.tags}
    return all(tag.lower() in have for tag in wanted)


def _kept(entries: list[ServiceEntry], tags: Sequence[str], node_meta: Mapping[str, str] | None) -> list[ServiceEntry]:
    if tags:
        entries = [entry for entry in entries if _tagged(entry.service, tags)]
    if node_meta:
        entries = [entry for entry in entries if _has_meta(entry.node.meta, node_meta)]
    return entries


def _service_index(
    registrations: Registrations, name: str, kind: str, tables: Iterable[Topic]
) -> tuple[int, tuple[Topic, ...]]:
    """Index and topics of a service for topics of `kind`, whether it exists or not."""
    lower = name.lower()
    own: Topic = (kind, lower)
    if kind == "connect":
        exists = registrations.has(lower, connect=True)
    else:
        exists = registrations.has(lower)
    if exists:
        return registrations.index(own), (own,)
    if registrations.service_extinction:
        return max(registrations.service_extinction, registrations.index(own)), (own, "service-extinction")
    return max(registrations.index(table) for table in tables), (own, *tables)


def service_nodes(
    store: Store,
    name: str,
    *,
    tags: Sequence[str] = (),
    connect: bool = False,
    node_meta: Mapping[str, str] | None = None,
    peer: str = "",
) -> Result[list[ServiceEntry]]:
    """Instances of a service, or those that give mesh access to it, by node and id. All of `tags` are wanted.

    The entries come without checks, so a changed check wakes nobody.
    """
    registrations = store.place(peer)
    kind = "connect" if connect else "service"
    index, topics = _service_index(registrations, name, kind, ("services", "nodes"))
    if peer and not index:  # as Consul counts it: nothing is known of that peer, so the tables here stand in
        index = max(store.registrations.index("services"), store.registrations.index("nodes"))
    gateways = gateways_for(store, name, checks=False) if connect and not peer else NO_GATEWAYS
    rows = _kept([*registrations.entries(name, connect=connect, checks=False), *gateways.rows], tags, node_meta)
    return Result(rows, max(index, gateways.index) or 1, (*_topics(peer, *topics), *gateways.topics))


# --- health ----------------------------------------------------------------------------------------------------


def health_service(
    store: Store,
    name: str,
    *,
    tags: Sequence[str] = (),
    connect: bool = False,
    passing: bool = False,
    node_meta: Mapping[str, str] | None = None,
    peer: str = "",
) -> Result[list[ServiceEntry]]:
    """Instances with their checks; `passing` drops those with any check that is not."""
    registrations = store.place(peer)
    kind = "connect" if connect else "service-health"
    index, topics = _service_index(registrations, name, kind, ("services", "nodes", "checks"))
    gateways = gateways_for(store, name) if connect and not peer else NO_GATEWAYS
    entries = _kept([*registrations.entries(name, connect=connect), *gateways.rows], tags, node_meta)
    if passing:
        entries = [entry for entry in entries if all(check.status == "passing" for check in entry.checks)]
    return Result(entries, max(index, gateways.index) or 1, (*_topics(peer, *topics), *gateways.topics))


def health_node(store: Store, node: str, peer: str = "") -> Result[list[Check]]:
    """All checks of a node, by id."""
    registrations = store.place(peer)
    topic: Topic = ("node-checks", node.lower())
    return _result(registrations.checks_on(node), registrations.index("checks"), topic, peer=peer)


def health_checks(
    store: Store, service: str, node_meta: Mapping[str, str] | None = None, peer: str = ""
) -> Result[list[Check]]:
    """The checks of a service's instances, by node and id."""
    registrations = store.place(peer)
    rows: list[Check] = []
    for entry in registrations.entries(service):
        if not node_meta or _has_meta(entry.node.meta, node_meta):
            rows.extend(check for check in entry.checks if check.service_id)
    rows.sort(key=lambda check: (check.node.lower(), check.check_id.lower()))
    topics: list[Topic] = [("service-checks", service.lower())]
    if node_meta:
        topics.append("nodes")
    return _result(rows, registrations.index("checks"), *topics, peer=peer)


def health_state(
    store: Store, state: str, node_meta: Mapping[str, str] | None = None, peer: str = ""
) -> Result[list[Check]]:
    """The checks in a state (`any`: all), by node and id."""
    registrations = store.place(peer)
    rows = [
        check
        for (node_key, _), check in sorted(registrations.checks.items(), key=lambda item: item[0])
        if state in {"any", check.status}
        and (not node_meta or _has_meta(registrations.nodes[node_key].meta, node_meta))
    ]
    topics: list[Topic] = ["checks" if state == "any" else ("check-state", state)]
    if node_meta:
        topics.append("nodes")
    return _result(rows, registrations.index("checks"), *topics, peer=peer)


def by_address(store: Store, address: str) -> Result[tuple[list[Node], list[ServiceEntry]]]:
    """Nodes and instances with an IP address (any spelling accepted by `ipaddress`, written canonically)."""
    found = store.registrations.at_address(address)
    return _result(found, store.index, ("address", address))


# --- keys ------------------------------------------------------------------------------------------------------


def kv_get(store: Store, key: str) -> Result[KVEntry | None]:
    """One key; the index of a missing one is the table's."""
    entry = store.kv.get(key)
    return _result(entry, entry.modify_index if entry is not None else store.kv.index, ("kv", key))


def kv_list(store: Store, prefix: str) -> Result[list[KVEntry]]:
    """The entries of a prefix in key order."""
    entries = store.kv.entries
    rows = [entries[key] for key in store.kv.prefix_keys(prefix)]
    return _result(rows, store.kv.prefix_index(prefix), ("kv-prefix", prefix))


def kv_keys(store: Store, prefix: str, separator: str = "") -> Result[list[str]]:
    """The names under a prefix, cut after the first `separator` behind it, each once, in order."""
    keys: Iterable[str] = store.kv.prefix_keys(prefix)
    if separator:
        start = len(prefix)
        cut: dict[str, None] = {}
        for key in keys:
            at = key.find(separator, start)
            cut[key if at < 0 else key[: at + len(separator)]] = None
        keys = cut
    return _result(list(keys), store.kv.prefix_index(prefix), ("kv-prefix", prefix))


# --- sessions --------------------------------------------------------------------------------------------------


def session(store: Store, session_id: str) -> Result[Session | None]:
    """One session; the index is the table's."""
    return _result(store.sessions.rows.get(session_id), store.sessions.index, ("session", session_id))


def session_list(store: Store) -> Result[list[Session]]:
    """All sessions by id."""
    return _result(store.sessions.all(), store.sessions.index, "sessions")


def session_node(store: Store, node: str) -> Result[list[Session]]:
    """The sessions of a node by id; the index is the table's."""
    return _result(store.sessions.on_node(node), store.sessions.index, ("session-node", node.lower()))


# --- coordinates -----------------------------------------------------------------------------------------------


def coordinate_nodes(store: Store) -> Result[list[CoordinateRow]]:
    """The coordinates of all nodes, by node and segment."""
    rows = [row for name in sorted(store.coordinates.rows) for row in store.coordinates.of_node(name)]
    return _result(rows, store.coordinates.index, "coordinates")


def coordinate_node(store: Store, node: str) -> Result[list[CoordinateRow]]:
    """The coordinates of one node, by segment."""
    return _result(store.coordinates.of_node(node), store.coordinates.index, ("coordinate", node.lower()))


def sort_by_distance(store: Store, origin: str, rows: Iterable[T], node_of: Callable[[T], str]) -> list[T]:
    """`rows` by estimated round trip of their node from the node `origin` (surface row C22)."""
    return _sort_by_distance(store.coordinates, origin, rows, node_of)


# --- prepared queries ------------------------------------------------------------------------------------------


def prepared_query_list(store: Store) -> Result[list[PreparedQuery]]:
    """All prepared queries by id."""
    table = store.prepared_queries
    return _result([table.rows[query_id] for query_id in sorted(table.rows)], table.index, "prepared-queries")


def prepared_query(store: Store, query_id: str) -> Result[PreparedQuery | None]:
    """One prepared query by id."""
    table = store.prepared_queries
    return _result(table.rows.get(query_id.lower()), table.index, "prepared-queries")


# --- config entries --------------------------------------------------------------------------------------------


def config_entry(store: Store, kind: str, name: str) -> Result[Entry | None]:
    """One config entry; the index is the table's."""
    return _result(store.config.get(kind, name), store.config.index, ("config-entry", f"{kind}/{name.lower()}"))


def config_entries(store: Store, kind: str = "") -> Result[list[Entry]]:
    """The config entries of a kind, or all, by kind and name."""
    if kind:
        return _result(store.config.of_kind(kind), store.config.index, ("config-kind", kind))
    return _result(store.config.all(), store.config.index, "config-entries")


def gateway_services(store: Store, gateway: str) -> Result[list[GatewayService]]:
    """The services behind a gateway; the index is that of all gateways, with a wildcard also of all entries."""
    rows = _gateway_services(store, gateway)
    index = last_change(store)
    if has_wildcard(store, gateway):
        index = max(index, store.config.index)
    return _result(rows, index, "config-entries", "services", "service-extinction")


def health_ingress(
    store: Store, name: str, *, passing: bool = False, node_meta: Mapping[str, str] | None = None
) -> Result[list[ServiceEntry]]:
    """Instances of the ingress gateways that let a service's traffic in."""
    gateways = gateways_of(store, name)
    rows: list[ServiceEntry] = []
    index = store.config.gateway_index if gateways else store.config.gateway_lost
    topics: list[Topic] = ["config-entries", "services"]
    for gateway in gateways:
        found = health_service(store, gateway, passing=passing, node_meta=node_meta)
        rows += [entry for entry in found.rows if entry.service.kind == "ingress-gateway"]
        index = max(index, found.index)
        topics += found.topics
    return _result(rows, index, *dict.fromkeys(topics))
