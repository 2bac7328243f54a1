"""The questions that clients ask for rows, not for HTTP answers: what DNS, alias checks and anti-entropy need.

A row of `QUESTIONS` names a question: how a server reads it (value and topics that change it), and the type a client
decodes. Source: the surface rows of those who ask (D1-D16, K19, E1). Pure.

What may be changed: kinds are on the wire: append-only. A value may grow by fields with a default.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from meshagent.agent.acl import rows_visible
from meshagent.agent.acl.access import Access
from meshagent.agent.differences import NodeRows, node_rows
from meshagent.catalog import queries
from meshagent.catalog.ca import CAState
from meshagent.catalog.entries.table import ConfigEntry
from meshagent.catalog.gateway_services import GatewayService, behind, gateways_for
from meshagent.catalog.mesh_gateways import mesh_gateways
from meshagent.catalog.mesh_services import TOPIC as MESH_SERVICES_TOPIC
from meshagent.catalog.mesh_services import MeshService, mesh_services
from meshagent.catalog.model import Node, ServiceEntry
from meshagent.catalog.peering.imported import peer_topic, split_peer
from meshagent.catalog.peering.model import TrustBundle
from meshagent.catalog.query_execution import Source, connect_rows, execute
from meshagent.catalog.store import Store
from meshagent.catalog.watch import Topic
from meshagent.errors import MeshError, RemoteProtocolError

__all__ = [
    "ADDRESS",
    "CONFIG_KIND",
    "CONNECT",
    "DNS_KINDS",
    "GATEWAY_SERVICES",
    "INGRESS",
    "MESH_GATEWAYS",
    "MESH_INSTANCES",
    "MESH_PLAIN",
    "MESH_SERVICES",
    "NODE",
    "NODE_ROWS",
    "PEER_ROOTS",
    "QUERY",
    "QUERY_CONNECT",
    "QUESTIONS",
    "ROOTS",
    "SERVICE",
    "VIRTUAL_IP",
    "AtAddress",
    "QueryRows",
    "RowQuestion",
    "decode_rows",
    "encode_rows",
]

Topics = tuple[Topic, ...]

SERVICE = "service"
CONNECT = "connect"
MESH_INSTANCES = "mesh-instances"  # since 0.2
MESH_PLAIN = "mesh-plain"  # since 0.3
INGRESS = "ingress"
VIRTUAL_IP = "virtual-ip"
QUERY = "query"
QUERY_CONNECT = "query-connect"
NODE = "node"
ADDRESS = "address"
NODE_ROWS = "node-rows"
ROOTS = "roots"
CONFIG_KIND = "config-kind"
MESH_SERVICES = "mesh-services"
PEER_ROOTS = "peer-roots"
MESH_GATEWAYS = "mesh-gateways"
GATEWAY_SERVICES = "gateway-services"


class QueryRows(msgspec.Struct, frozen=True, array_like=True):  # since 0.1
    """What a prepared query gives one asker: instances, nearest first when `ordered`, and how DNS keeps them."""

    entries: tuple[ServiceEntry, ...]
    service: str
    ttl: str
    ordered: bool


class AtAddress(msgspec.Struct, frozen=True, array_like=True):  # since 0.1
    """Names of the node and of the service that have an address, "" for none."""

    node: str
    service: str


@dataclass(frozen=True, slots=True)
class RowQuestion:
    """One kind. `read(store, name, asker, datacenter)`, where `asker` is the name of the node that asks.

    `visible`: what of the value a token may see; None: everything. `by_asker`: the answer depends on it, so that each
    asker has an own one.
    """

    kind: str
    type: Any
    read: Callable[[Store, str, str, str], tuple[Any, Topics]]
    by_asker: bool = False
    visible: Callable[[Any, Access], Any] | None = None


def _instances(kind: str) -> Callable[[Store, str, str, str], tuple[Any, Topics]]:
    connect = kind == CONNECT
    topic = "connect" if connect else "service-health"

    def read(store: Store, name: str, asker: str, datacenter: str) -> tuple[Any, Topics]:
        lower, peer = split_peer(name.lower())
        found, own = store.place(peer).entries(lower, connect=connect), (peer_topic(peer, (topic, lower)),)
        if not connect or peer:
            return found, own
        gateways = gateways_for(store, lower)
        return [*found, *gateways.rows], (*own, *gateways.topics)

    return read


def _ingress(store: Store, name: str, asker: str, datacenter: str) -> tuple[Any, Topics]:
    found = queries.health_ingress(store, name)
    return found.rows, found.topics


def _virtual_ip(store: Store, name: str, asker: str, datacenter: str) -> tuple[Any, Topics]:
    lower, peer = split_peer(name.lower())
    topics = peer_topic(peer, ("connect", lower)), peer_topic(peer, ("service", lower))
    return store.place(peer).virtual_ips.get(lower) or "", topics


def _query(store: Store, name: str, asker: str, datacenter: str) -> tuple[Any, Topics]:
    try:
        query = store.prepared_queries.resolve(name)
    except MeshError:  # the id of a template
        query = None
    if query is None:
        return None, ("prepared-queries",)
    done = execute(store, query, Source(asker), None, datacenter=datacenter)
    rows = QueryRows(tuple(done.entries), query.service.service, query.dns.ttl, done.sorted)
    return rows, done.topics


def _query_connect(store: Store, name: str, asker: str, datacenter: str) -> tuple[Any, Topics]:
    return connect_rows(store, name, asker, datacenter)


def _node(store: Store, name: str, asker: str, datacenter: str) -> tuple[Any, Topics]:
    found = queries.node(store, *split_peer(name))
    return found.rows, _own(found.topics)


def _address(store: Store, name: str, asker: str, datacenter: str) -> tuple[Any, Topics]:
    found = queries.by_address(store, name)
    nodes, entries = found.rows
    at = AtAddress(nodes[0].name if nodes else "", entries[0].service.name if entries else "")
    return at, _own(found.topics)


def _node_rows(store: Store, name: str, asker: str, datacenter: str) -> tuple[Any, Topics]:
    lower = name.lower()
    return node_rows(store, name), (("node", lower), ("node-checks", lower))


def _peer_roots(store: Store, name: str, asker: str, datacenter: str) -> tuple[Any, Topics]:
    bundles = store.peerings.bundles
    return [bundles[peer] for peer in sorted(bundles)], ("peering-bundles",)


def _roots(store: Store, name: str, asker: str, datacenter: str) -> tuple[Any, Topics]:
    """The state of the certificate authority without its private keys."""
    states = [msgspec.structs.replace(state, serial=0, keys=()) for state in store.ca.state()]
    return states[0] if states else None, ("ca-roots", "ca-config")


def _config_kind(store: Store, name: str, asker: str, datacenter: str) -> tuple[Any, Topics]:
    found = queries.config_entries(store, name)
    return found.rows, found.topics


def _mesh_services(store: Store, name: str, asker: str, datacenter: str) -> tuple[Any, Topics]:
    return mesh_services(store), (MESH_SERVICES_TOPIC,)


def _mesh_gateways(store: Store, name: str, asker: str, datacenter: str) -> tuple[Any, Topics]:
    return mesh_gateways(store, name, datacenter)


def _gateway_services(store: Store, name: str, asker: str, datacenter: str) -> tuple[Any, Topics]:
    return behind(store, name)


def _own(topics: Topics) -> Topics:
    """The topics that name one thing: those of whole tables cannot make a missing name appear."""
    return tuple(topic for topic in topics if type(topic) is tuple) or topics


QUESTIONS: dict[str, RowQuestion] = {
    row.kind: row
    for row in (
        RowQuestion(SERVICE, tuple[ServiceEntry, ...], _instances(SERVICE), visible=rows_visible.instances),
        RowQuestion(CONNECT, tuple[ServiceEntry, ...], _instances(CONNECT), visible=rows_visible.instances),
        # The same for proxies: asked with the token of the agent, not with that of DNS.
        RowQuestion(MESH_INSTANCES, tuple[ServiceEntry, ...], _instances(CONNECT), visible=rows_visible.instances),
        RowQuestion(MESH_PLAIN, tuple[ServiceEntry, ...], _instances(SERVICE), visible=rows_visible.instances),
        RowQuestion(INGRESS, tuple[ServiceEntry, ...], _ingress, visible=rows_visible.instances),
        RowQuestion(VIRTUAL_IP, str, _virtual_ip),
        RowQuestion(QUERY, QueryRows | None, _query, by_asker=True, visible=rows_visible.query),
        RowQuestion(
            QUERY_CONNECT,
            tuple[ServiceEntry, ...],
            _query_connect,
            by_asker=True,
            visible=rows_visible.instances,
        ),
        RowQuestion(NODE, Node | None, _node, visible=rows_visible.node),
        RowQuestion(ADDRESS, AtAddress, _address, visible=rows_visible.at_address),
        RowQuestion(NODE_ROWS, NodeRows, _node_rows, visible=rows_visible.node_rows),
        RowQuestion(ROOTS, CAState | None, _roots),
        RowQuestion(CONFIG_KIND, tuple[ConfigEntry, ...], _config_kind, visible=rows_visible.config_entries),
        RowQuestion(PEER_ROOTS, tuple[TrustBundle, ...], _peer_roots),
        RowQuestion(MESH_GATEWAYS, tuple[ServiceEntry, ...], _mesh_gateways, visible=rows_visible.instances),
        RowQuestion(
            GATEWAY_SERVICES, tuple[GatewayService, ...], _gateway_services, visible=rows_visible.gateway_services
        ),
        RowQuestion(MESH_SERVICES, tuple[MeshService, ...], _mesh_services, visible=rows_visible.mesh_services),
    )
}

#: What DNS asks, with the token of DNS.
DNS_KINDS = (SERVICE, CONNECT, INGRESS, VIRTUAL_IP, QUERY, NODE, ADDRESS)

_encoder = msgspec.msgpack.Encoder()
_decoders: dict[str, msgspec.msgpack.Decoder[Any]] = {}


def encode_rows(value: object) -> bytes:
    """The value of a question as bytes."""
    return _encoder.encode(value)


def decode_rows(kind: str, body: bytes) -> Any:
    """The value of a question of `kind`. Raises RemoteProtocolError."""
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.msgpack.Decoder(QUESTIONS[kind].type)
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise RemoteProtocolError(f"the rows of a {kind!r} do not decode: {error}") from error
