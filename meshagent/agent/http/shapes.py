"""Consul's JSON objects where they differ from the rows of the catalog.

Rows (`catalog/model.py`) already carry Consul's names; these types hold what an endpoint arranges otherwise: the flat
CatalogService, the health entry, a node with its services.

Source: surface rows O2, O5, CT8, CT9. What may change here: fields of later Consul releases, with a default.
"""

from __future__ import annotations

from typing import Any

import msgspec

from meshagent.catalog.model import Check, Connect, Locality, Node, Proxy, Service, ServiceEntry, Weights
from meshagent.catalog.model import ServiceAddress as TaggedAddress

__all__ = ["CatalogService", "HealthEntry", "NodeServiceList", "NodeServices", "catalog_service", "health_entry"]

_EMPTY: dict[str, str] = {}


class CatalogService(msgspec.Struct, frozen=True):
    """An instance with its node in one flat object (surface row O2)."""

    ID: str
    Node: str
    Address: str
    Datacenter: str
    TaggedAddresses: dict[str, str] | None
    NodeMeta: dict[str, str] | None
    ServiceKind: str
    ServiceID: str
    ServiceName: str
    ServiceTags: tuple[str, ...]
    ServiceAddress: str
    ServiceTaggedAddresses: dict[str, TaggedAddress] | msgspec.UnsetType
    ServiceWeights: Weights
    ServiceMeta: dict[str, str]
    ServicePort: int
    ServiceSocketPath: str
    ServiceEnableTagOverride: bool
    ServiceProxy: Proxy
    ServiceConnect: Connect
    ServiceLocality: Locality | None
    CreateIndex: int
    ModifyIndex: int
    PeerName: str | msgspec.UnsetType


def catalog_service(entry: ServiceEntry) -> CatalogService:
    """The flat form of an entry."""
    node, service = entry.node, entry.service
    return CatalogService(
        node.id,
        node.name,
        node.address,
        node.datacenter,
        node.tagged_addresses,
        node.meta,
        service.kind,
        service.id,
        service.name,
        service.tags,
        service.address,
        service.tagged_addresses or msgspec.UNSET,
        service.weights,
        service.meta or _EMPTY,
        service.port,
        service.socket_path,
        service.enable_tag_override,
        service.proxy,
        service.connect,
        service.locality,
        service.create_index,
        service.modify_index,
        service.peer_name or msgspec.UNSET,
    )


class HealthEntry(msgspec.Struct, frozen=True):
    """An instance with its node and checks (surface row O5)."""

    Node: Node
    Service: Service
    Checks: tuple[Check, ...]


def health_entry(entry: ServiceEntry) -> HealthEntry:
    """The JSON form of an entry."""
    return HealthEntry(entry.node, entry.service, entry.checks)


class NodeServices(msgspec.Struct, frozen=True):
    """A node and its services by id (surface row CT8)."""

    Node: Node
    Services: dict[str, Service]


class NodeServiceList(msgspec.Struct, frozen=True):
    """A node and its services as a list (surface row CT9); both null for an unknown node, the list when empty."""

    Node: Any
    Services: Any
