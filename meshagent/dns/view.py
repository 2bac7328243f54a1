"""What DNS sees of the catalog: healthy instances with weights, nodes, addresses.

Source: surface rows D2, D4 (weights), D12, D14, D22 (health filter). Each read returns its rows and the topics that
change them. For names that do not exist only the name's own topic counts: the table-wide topics of a `Result` move an
index, but cannot make the name appear, and following them would drop every negative answer at any change.

What may change here: a read another kind of name needs; access control will sit here too (row D33).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from meshagent.catalog import queries
from meshagent.catalog.gateway_services import gateways_for
from meshagent.catalog.model import Node, ServiceEntry
from meshagent.catalog.peering.imported import peer_topic, split_peer
from meshagent.catalog.query_execution import Source, execute
from meshagent.catalog.store import Store
from meshagent.catalog.watch import Topic, Watches
from meshagent.dns.wire import packed_address
from meshagent.durations import parse_duration
from meshagent.errors import MeshError

__all__ = [
    "Addresses",
    "CatalogView",
    "NamesView",
    "NotYet",
    "QueryAnswer",
    "addresses_of_instance",
    "addresses_of_node",
    "canonical",
    "query_answer",
    "usable",
    "usable_gateways",
]

Topics = tuple[Topic, ...]


class Addresses(NamedTuple):
    """Where something is: packed IPv4 and IPv6 addresses, or a host name in text form ("" for none)."""

    v4: bytes | None
    v6: bytes | None
    host: str = ""


class QueryAnswer(NamedTuple):
    """What a prepared query gives: instances of `service` with their weights, nearest first when `ordered`.

    `ttl_s` None leaves it to the service.
    """

    usable: list[tuple[ServiceEntry, int]]
    topics: Topics
    service: str
    ttl_s: int | None
    ordered: bool


class NotYet(Exception):
    """A view that does not have the answer yet: ask it again when `ready()` returns, which may raise a MeshError."""

    def __init__(self, ready: Callable[[], Awaitable[None]]) -> None:
        super().__init__("not held yet")
        self.ready = ready


def addresses_of_node(node: Node) -> Addresses:
    """A node's address; the tagged LAN address of a family wins (rows D1, O1)."""
    tagged = node.tagged_addresses
    if tagged:
        return _chosen(node.address, tagged.get("lan_ipv4", ""), tagged.get("lan_ipv6", ""))
    return _untagged(node.address)


def addresses_of_instance(entry: ServiceEntry) -> Addresses:
    """An instance's own address, or its node's when it has none."""
    service = entry.service
    tagged = service.tagged_addresses
    if not service.address and not tagged:
        return addresses_of_node(entry.node)
    v4 = v6 = ""
    if tagged:
        if "lan_ipv4" in tagged:
            v4 = tagged["lan_ipv4"].address
        if "lan_ipv6" in tagged:
            v6 = tagged["lan_ipv6"].address
    if service.address or v4 or v6:
        return _chosen(service.address, v4, v6)
    return addresses_of_node(entry.node)


@lru_cache(maxsize=65536)
def _untagged(address: str) -> Addresses:
    return _chosen(address, "", "")


def _chosen(default: str, v4_text: str, v6_text: str) -> Addresses:
    packed = packed_address(default)
    v4 = packed_address(v4_text) if v4_text else None
    v6 = packed_address(v6_text) if v6_text else None
    if packed is None:
        return Addresses(v4, v6, default)
    if len(packed) == 4:
        return Addresses(v4 or packed, v6)
    return Addresses(v4, v6 or packed)


def canonical(packed: bytes) -> str:
    """Text of a packed address as the catalog indexes it."""
    import ipaddress

    return str(ipaddress.ip_address(packed))


def _own(topics: Topics) -> Topics:
    """The topics that name one thing, without those of whole tables."""
    own = tuple(topic for topic in topics if type(topic) is tuple)
    return own or topics


def _weight(entry: ServiceEntry) -> int:
    """That of an instance whose health has been looked at already."""
    weights = entry.service.weights
    healthy = all(check.status == "passing" for check in entry.checks)
    return min(max(weights.passing if healthy else weights.warning, 0), 65535)


def usable(
    entries: Iterable[ServiceEntry], tag: str = "", *, only_passing: bool = False
) -> list[tuple[ServiceEntry, int]]:
    """The instances that may be used, each with its weight (0 to 65535)."""
    if tag:
        entries = [entry for entry in entries if tag in map(str.lower, entry.service.tags)]
    found: list[tuple[ServiceEntry, int]] = []
    for entry in entries:
        weights = entry.service.weights
        weight = weights.passing
        for check in entry.checks:
            status = check.status
            if status != "passing":
                if status != "warning" or only_passing:
                    break
                weight = weights.warning
        else:
            found.append((entry, weight if 0 <= weight <= 65535 else min(max(weight, 0), 65535)))
    return found


def usable_gateways(entries: Iterable[ServiceEntry]) -> list[tuple[ServiceEntry, int]]:
    """The gateways that may be used, with their weights."""
    return [
        (entry, _weight(entry))
        for entry in entries
        if all(check.status in {"passing", "warning"} for check in entry.checks)
    ]


def query_answer(
    entries: Iterable[ServiceEntry], topics: Topics, service: str, ttl: str, *, ordered: bool
) -> QueryAnswer:
    """What a prepared query gave, for DNS; `ttl` is a duration, "" leaves it to the service."""
    ttl_s = parse_duration(ttl) // 1_000_000_000 if ttl else None
    return QueryAnswer([(entry, _weight(entry)) for entry in entries], topics, service, ttl_s, ordered)


class NamesView(Protocol):
    """What names are answered from. A method may raise `NotYet`. `watches` tells of changed topics.

    Names of services and nodes may be those of a peer, as `at_peer` makes them.
    """

    named_nodes: dict[tuple[str, int, str], tuple[Node, Any, Any]]

    @property
    def watches(self) -> Watches: ...

    def instances(
        self, name: str, tag: str, *, connect: bool, only_passing: bool
    ) -> tuple[list[tuple[ServiceEntry, int]], Topics]: ...
    def ingress(self, name: str, *, only_passing: bool) -> tuple[list[tuple[ServiceEntry, int]], Topics]: ...
    def virtual_ip(self, name: str) -> tuple[bytes | None, Topics]: ...
    def query(self, name: str) -> QueryAnswer | None: ...
    def node(self, name: str) -> tuple[Node | None, Topics]: ...
    def names_at(self, address: str) -> tuple[str, str, Topics]: ...


class CatalogView:
    """Reads of one store, asked of the agent on `node_name`."""

    def __init__(self, store: Store, node_name: str = "", datacenter: str = "dc1") -> None:
        self._store = store
        self._source = Source(node_name)
        self._datacenter = datacenter
        self.watches = store.watches
        self.named_nodes: dict[tuple[str, int, str], tuple[Node, Any, Any]] = {}
        """What `records.py` made of a node's row, by name, TTL and domain; stale when the row is another object."""

    def instances(
        self, name: str, tag: str, *, connect: bool, only_passing: bool
    ) -> tuple[list[tuple[ServiceEntry, int]], Topics]:
        """Instances of a service (lower case) that may be used, each with its weight (0 to 65535), and the topics.

        As `queries.health_service`, without the index: this is the look-up of every answer that is not cached.
        """
        name, peer = split_peer(name)
        entries = self._store.place(peer).entries(name, connect=connect)
        topics: Topics = (peer_topic(peer, ("connect" if connect else "service-health", name)),)
        if connect and not peer:
            gateways = gateways_for(self._store, name)
            entries, topics = [*entries, *gateways.rows], (*topics, *gateways.topics)
        return usable(entries, tag, only_passing=only_passing), topics

    def ingress(self, name: str, *, only_passing: bool) -> tuple[list[tuple[ServiceEntry, int]], Topics]:
        """Instances of the gateways that let a service's traffic in, that may be used, with their weights (row D9).

        What exposes a service is said by config entries, so their topic counts although it names a whole table.
        """
        found = queries.health_ingress(self._store, name, passing=only_passing)
        return usable_gateways(found.rows), found.topics

    def virtual_ip(self, name: str) -> tuple[bytes | None, Topics]:
        """The virtual address of a service (lower case), packed (row D8)."""
        name, peer = split_peer(name)
        text = self._store.place(peer).virtual_ips.get(name)
        topics = peer_topic(peer, ("connect", name)), peer_topic(peer, ("service", name))
        return packed_address(text) if text else None, topics

    def query(self, name: str) -> QueryAnswer | None:
        """What the prepared query of that name gives, None when there is none (row D6).

        The order is drawn later, for each answer, unless it is one of distance.
        """
        try:
            query = self._store.prepared_queries.resolve(name)
        except MeshError:  # the id of a template
            query = None
        if query is None:
            return None
        done = execute(self._store, query, self._source, None, datacenter=self._datacenter)
        return query_answer(done.entries, done.topics, query.service.service, query.dns.ttl, ordered=done.sorted)

    def node(self, name: str) -> tuple[Node | None, Topics]:
        """The node of that name."""
        found = queries.node(self._store, *split_peer(name))
        return found.rows, _own(found.topics)

    def names_at(self, address: str) -> tuple[str, str, Topics]:
        """(node name, service name) of who has an IP address, "" for none."""
        found = queries.by_address(self._store, address)
        nodes, entries = found.rows
        return (nodes[0].name if nodes else "", entries[0].service.name if entries else "", _own(found.topics))
