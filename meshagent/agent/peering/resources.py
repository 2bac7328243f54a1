"""Instances as they travel to a peer, and back.

What a peer learns of an instance is what it needs to reach it: node, addresses, tags, metadata, weights, and one check
with the worst of all states. Names, outputs and definitions of checks, upstreams and settings of proxies stay here.

Source: `hashicorp.consul.internal.service` of Consul 1.14 (MPL-2.0), for names and numbers of fields; surface rows O1,
O3, O4, M44, M61. What may change here: nothing about numbers; a field that peers come to need is added.
"""

from __future__ import annotations

from typing import Any

import msgspec

from meshagent.agent.grpc.protobuf import BOOL, INT, MANY, MAP, TEXT, Field, Schema, nested
from meshagent.agent.peering.messages import EXPORTED_SERVICE, Packed
from meshagent.catalog.model import Check, Connect, Node, Proxy, Service, ServiceAddress, ServiceEntry, Weights
from meshagent.errors import RemoteProtocolError

__all__ = ["OVERALL", "PeerMeta", "decode_instances", "encode_instances", "overall_check"]

#: The check that stands for all of an instance.
OVERALL = "overall-check"
_BY_SEVERITY = ("critical", "warning")


class PeerMeta(msgspec.Struct, frozen=True):
    """How a sidecar is called and recognised from outside: its SNI and SPIFFE ids, and what it speaks."""

    sni: tuple[str, ...] = ()
    spiffe_id: tuple[str, ...] = ()
    protocol: str = ""


class _Connect(msgspec.Struct, frozen=True):
    native: bool = False
    peer_meta: PeerMeta | None = None


class _Weights(msgspec.Struct, frozen=True):
    """As on the wire, where zero is what is not written; our row's default is 1."""

    passing: int = 0
    warning: int = 0


class _Service(msgspec.Struct, frozen=True):
    """`NodeService`, as far as it travels."""

    kind: str = ""
    id: str = ""
    name: str = ""
    tags: tuple[str, ...] = ()
    address: str = ""
    meta: dict[str, str] | None = None
    port: int = 0
    weights: _Weights | None = None
    proxy: Proxy = Proxy()
    connect: _Connect = _Connect()
    tagged_addresses: dict[str, ServiceAddress] | None = None
    socket_path: str = ""


class _Check(msgspec.Struct, frozen=True):
    node: str = ""
    check_id: str = ""
    name: str = ""
    status: str = ""
    service_id: str = ""
    service_name: str = ""
    type: str = ""


class _Node(msgspec.Struct, frozen=True):
    id: str = ""
    name: str = ""
    address: str = ""
    datacenter: str = ""
    tagged_addresses: dict[str, str] | None = None
    meta: dict[str, str] | None = None


class _Instance(msgspec.Struct, frozen=True):
    node: _Node | None = None
    service: _Service | None = None
    checks: tuple[_Check, ...] = ()


class _Instances(msgspec.Struct, frozen=True):
    rows: tuple[_Instance, ...] = ()


_WEIGHTS = Schema(_Weights, (Field(1, "passing", INT), Field(2, "warning", INT)))
_ADDRESS = Schema(ServiceAddress, (Field(1, "address", TEXT), Field(2, "port", INT)))
_META = Schema(PeerMeta, (Field(1, "sni", TEXT, MANY), Field(2, "spiffe_id", TEXT, MANY), Field(3, "protocol", TEXT)))
_CONNECT = Schema(_Connect, (Field(1, "native", BOOL), Field(4, "peer_meta", nested(_META))))
_PROXY = Schema(
    Proxy,
    (Field(1, "destination_service_name", TEXT), Field(2, "destination_service_id", TEXT), Field(9, "mode", TEXT)),
)
_NODE = Schema(
    _Node,
    (
        Field(1, "id", TEXT),
        Field(2, "name", TEXT),
        Field(3, "address", TEXT),
        Field(4, "datacenter", TEXT),
        Field(5, "tagged_addresses", TEXT, MAP),
        Field(6, "meta", TEXT, MAP),
    ),
)
_SERVICE = Schema(
    _Service,
    (
        Field(1, "kind", TEXT),
        Field(2, "id", TEXT),
        Field(3, "name", TEXT),
        Field(4, "tags", TEXT, MANY),
        Field(5, "address", TEXT),
        Field(6, "meta", TEXT, MAP),
        Field(7, "port", INT),
        Field(8, "weights", nested(_WEIGHTS)),
        Field(11, "proxy", nested(_PROXY)),
        Field(12, "connect", nested(_CONNECT)),
        Field(15, "tagged_addresses", nested(_ADDRESS), MAP),
        Field(17, "socket_path", TEXT),
    ),
)
_CHECK = Schema(
    _Check,
    (
        Field(1, "node", TEXT),
        Field(2, "check_id", TEXT),
        Field(3, "name", TEXT),
        Field(4, "status", TEXT),
        Field(7, "service_id", TEXT),
        Field(8, "service_name", TEXT),
        Field(12, "type", TEXT),
    ),
)
_INSTANCE = Schema(
    _Instance,
    (Field(1, "node", nested(_NODE)), Field(2, "service", nested(_SERVICE)), Field(3, "checks", nested(_CHECK), MANY)),
)
_INSTANCES = Schema(_Instances, (Field(1, "rows", nested(_INSTANCE), MANY),))

_STATES = frozenset({"passing", "warning", "critical", "maintenance"})


def overall_check(entry: ServiceEntry, name: str) -> Check:
    """One check with the worst state of an instance that goes by `name`."""
    states = {check.status for check in entry.checks}
    worst = next((state for state in _BY_SEVERITY if state in states), "passing")
    if states - {"passing", "warning", "critical"}:
        worst = "critical"
    return Check(
        node=entry.node.name,
        check_id=f"{entry.service.id}:{OVERALL}",
        name=OVERALL,
        status=worst,
        service_id=entry.service.id,
        service_name=name,
    )


def encode_instances(name: str, entries: list[ServiceEntry], meta: PeerMeta | None = None) -> Packed:
    """The resource of a service: all its instances, under `name`; with `meta` they are its sidecars."""
    rows = tuple(_outgoing(name, entry, meta) for entry in entries)
    return Packed(EXPORTED_SERVICE, _INSTANCES.encode(_Instances(rows)))


def _outgoing(name: str, entry: ServiceEntry, meta: PeerMeta | None) -> _Instance:
    node, service = entry.node, entry.service
    check = overall_check(entry, name)
    proxy = service.proxy
    if meta is not None and service.kind == "connect-proxy":
        proxy = Proxy(destination_service_name=proxy.destination_service_name)
    else:
        proxy = Proxy()
    virtual = {tag: address for tag, address in (service.tagged_addresses or {}).items() if tag != "consul-virtual"}
    return _Instance(
        node=_Node(node.id, node.name, node.address, node.datacenter, node.tagged_addresses, node.meta),
        service=_Service(
            kind=service.kind,
            id=service.id,
            name=name,
            tags=service.tags,
            address=service.address,
            meta=service.meta,
            port=service.port,
            weights=_Weights(service.weights.passing, service.weights.warning),
            proxy=proxy,
            connect=_Connect(native=service.connect.native, peer_meta=meta),
            tagged_addresses=virtual or None,
        ),
        checks=(_Check(check.node, check.check_id, check.name, check.status, check.service_id, check.service_name),),
    )


def decode_instances(name: str, resource: Packed) -> tuple[ServiceEntry, ...]:
    """The instances of the service `name`.

    Raises:
        RemoteProtocolError: no such resource, or a row that names nothing or another service.
    """
    if resource.kind != EXPORTED_SERVICE:
        raise RemoteProtocolError(f"a peer sent {resource.kind} as instances of a service")
    return tuple(_incoming(name, row) for row in _INSTANCES.decode(resource.data).rows)


def _incoming(name: str, row: _Instance) -> ServiceEntry:
    node, service = row.node, row.service
    if node is None or service is None or not node.name or not service.id:
        raise RemoteProtocolError(f"a peer sent an instance of {name} without a node or an id")
    if service.name.lower() != name.lower():
        raise RemoteProtocolError(f"a peer sent an instance of {service.name!r} as one of {name}")
    if not 0 <= service.port <= 65535:
        raise RemoteProtocolError(f"a peer sent an instance of {name} with the port {service.port}")
    fields: dict[str, Any] = {field: getattr(service, field) for field in service.__struct_fields__}
    weights = service.weights
    fields["weights"] = Weights() if weights is None else Weights(passing=weights.passing, warning=weights.warning)
    fields["connect"] = Connect(native=service.connect.native)
    checks = tuple(
        Check(
            node=node.name,
            check_id=check.check_id,
            name=check.name,
            status=check.status if check.status in _STATES else "critical",
            service_id=service.id if check.service_id else "",
            service_name=check.service_name,
            type=check.type,
        )
        for check in row.checks
        if check.check_id
    )
    return ServiceEntry(
        Node(
            id=node.id,
            name=node.name,
            address=node.address,
            datacenter=node.datacenter,
            tagged_addresses=node.tagged_addresses,
            meta=node.meta,
        ),
        Service(**fields),
        checks,
    )
