"""Running a prepared query: a definition and an asker in, instances in order out. Pure.

Source: surface rows PQ3, C22, D6; developer.hashicorp.com/consul/api-docs/query#execute-prepared-query. Instances with
a critical check are dropped (with `OnlyPassing` those with a warning too), the rest is shuffled and, when the asker or
the definition names a node, sorted by distance from it. Nothing left: the failover targets in their order.

What may change here: other datacenters, of which none can be reached yet. An unknown datacenter is skipped, a peer is a
try: what was imported from it, if anything.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from meshagent.catalog.coordinates import sort_by_distance
from meshagent.catalog.model import PreparedQuery, QueryService, ServiceEntry
from meshagent.catalog.peering.imported import peer_topic
from meshagent.catalog.store import Store
from meshagent.catalog.watch import Topic

__all__ = ["Execution", "Source", "connect_rows", "execute"]

#: How deep a sorted answer is searched for the asker's own node, to put it first.
_OWN_NODE_DEPTH = 10


@dataclass(frozen=True, slots=True)
class Source:
    """Who asks: the node of the agent that was asked, and the address of the caller ("" when unknown)."""

    node: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Execution:
    """What a query found. `sorted` says that the order is one of distance; otherwise it was drawn."""

    query: PreparedQuery
    entries: list[ServiceEntry]
    datacenter: str
    peer: str
    failovers: int
    sorted: bool
    topics: tuple[Topic, ...]


def execute(
    store: Store,
    query: PreparedQuery,
    source: Source,
    rng: random.Random | None,
    *,
    datacenter: str,
    near: str = "",
    limit: int = 0,
    connect: bool = False,
) -> Execution:
    """Run a definition that `PreparedQueries.resolve` gave. `near` wins over the definition; `limit` 0 is none.

    Without `rng` nothing is drawn: the caller does that (DNS, for each answer).
    """
    wanted = query.service
    connect = connect or wanted.connect
    topic: Topic = ("connect" if connect else "service-health", wanted.service.lower())
    topics: list[Topic] = ["prepared-queries", peer_topic(wanted.peer, topic)]
    entries = _usable(store, wanted, connect, wanted.peer)
    if rng is not None:
        rng.shuffle(entries)
    by_distance = False
    near = near or wanted.near
    if near:
        origin, more = _origin(store, near, source)
        topics += ("coordinates", *more)
        entries, by_distance = _sorted(store, entries, origin)
    peer, failovers = wanted.peer, 0
    for target in wanted.failover.targets or () if not entries else ():
        if target.peer:
            peer, failovers = target.peer, failovers + 1
            topics.append(peer_topic(peer, topic))
            entries = _usable(store, wanted, connect, peer)
            if entries:
                if rng is not None:
                    rng.shuffle(entries)
                by_distance = False
                break
    if limit > 0:
        del entries[limit:]
    place = "" if peer else datacenter
    return Execution(query, entries, place, peer, failovers, by_distance, tuple(topics))


def connect_rows(store: Store, name: str, node: str, datacenter: str) -> tuple[list[ServiceEntry], tuple[Topic, ...]]:
    """What the query of a name or id finds that gives mesh access, asked on a node, nothing drawn; none without such a
    query."""
    query = store.prepared_queries.named(name)
    if query is None:
        return [], ("prepared-queries",)
    done = execute(store, query, Source(node), None, datacenter=datacenter, connect=True)
    return done.entries, done.topics


def _usable(store: Store, wanted: QueryService, connect: bool, peer: str) -> list[ServiceEntry]:
    ignored = frozenset(wanted.ignore_check_ids or ())
    required, excluded = _tags(wanted)
    found = []
    for entry in store.place(peer).entries(wanted.service, connect=connect):
        for check in entry.checks:
            status = check.status
            if status != "passing" and (wanted.only_passing or status != "warning") and check.check_id not in ignored:
                break
        else:
            have = {tag.lower() for tag in entry.service.tags}
            if (
                required <= have
                and not excluded & have
                and _has(entry.node.meta, wanted.node_meta)
                and _has(entry.service.meta, wanted.service_meta)
            ):
                found.append(entry)
    return found


def _tags(wanted: QueryService) -> tuple[set[str], set[str]]:
    tags = [tag.lower() for tag in wanted.tags or ()]
    return {tag for tag in tags if tag[:1] != "!"}, {tag[1:] for tag in tags if tag[:1] == "!"}


def _has(meta: Mapping[str, str] | None, wanted: Mapping[str, str] | None) -> bool:
    return not wanted or all((meta or {}).get(key) == value for key, value in wanted.items())


def _origin(store: Store, near: str, source: Source) -> tuple[str, tuple[Topic, ...]]:
    """The node to measure from ("" for none), and what else may change that."""
    if near == "_agent":
        return source.node, ()
    if near != "_ip":
        return near, ()
    if not source.address:
        return "", ()
    nodes, _ = store.registrations.at_address(source.address)
    return (nodes[0].name if nodes else ""), (("address", source.address),)


def _sorted(store: Store, entries: list[ServiceEntry], origin: str) -> tuple[list[ServiceEntry], bool]:
    """By distance, and the origin's own instance first when it is among the nearest."""
    if not origin:
        return entries, False
    by_distance = bool(store.coordinates.of_node(origin))
    entries = sort_by_distance(store.coordinates, origin, entries, lambda entry: entry.node.name)
    own = origin.lower()
    for at, entry in enumerate(entries[:_OWN_NODE_DEPTH]):
        if entry.node.name.lower() == own:
            entries[0], entries[at] = entry, entries[0]
            return entries, True
    return entries, by_distance
