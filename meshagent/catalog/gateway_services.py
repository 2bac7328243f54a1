"""Which services stand behind which gateway: ingress-gateway and terminating-gateway entries, spread out.

A wildcard stands for what is registered: behind an ingress gateway the mesh services of the listener's protocol,
behind a terminating gateway the services without mesh access. Pure: the rows follow from entries and registrations.

Source: surface rows CT10, HL5, M27, M28; developer.hashicorp.com/consul/api-docs/catalog#list-services-for-a-gateway.
What may change here: fields of later Consul releases.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshagent.catalog.entries.entry import Entry, Part
from meshagent.catalog.entries.graph import protocol_of
from meshagent.catalog.entries.ingress_gateway import IngressGateway
from meshagent.catalog.entries.service_defaults import ServiceDefaults
from meshagent.catalog.entries.terminating_gateway import LinkedService, TerminatingGateway
from meshagent.catalog.model import ServiceEntry, always
from meshagent.catalog.watch import Topic

if TYPE_CHECKING:
    from meshagent.catalog.store import Store

__all__ = [
    "NO_GATEWAYS",
    "GatewayService",
    "behind",
    "gateway_services",
    "gateways_for",
    "gateways_of",
    "has_wildcard",
    "last_change",
]

#: The servers' own service is behind no gateway.
_OWN = "consul"


class Named(Part, frozen=True, kw_only=True):
    """A service by its name."""

    name: str = always("")


class GatewayService(Part, frozen=True, kw_only=True):
    """One service behind one gateway."""

    gateway: Named = always(Named())
    service: Named = always(Named())
    gateway_kind: str = always("")
    port: int = 0
    protocol: str = ""
    hosts: tuple[str, ...] = ()
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    sni: str = ""
    from_wildcard: bool = False
    service_kind: str = ""
    create_index: int = always(0)
    modify_index: int = always(0)
    auto_host_rewrite: bool = False


def gateway_services(store: Store, gateway: str) -> list[GatewayService]:
    """The services behind a gateway, by name and port."""
    entries = store.config.lookup()
    ingress = entries.get(IngressGateway, gateway)
    if ingress is not None:
        rows = _ingress(store, ingress)
    else:
        terminating = entries.get(TerminatingGateway, gateway)
        rows = _terminating(store, terminating) if terminating is not None else []
    return sorted(rows, key=lambda row: (row.service.name, row.port))


def behind(store: Store, gateway: str) -> tuple[tuple[GatewayService, ...], tuple[Topic, ...]]:
    """The services behind a terminating gateway, and the topics of a change."""
    entry = store.config.lookup().get(TerminatingGateway, gateway)
    topics: list[Topic] = [("config-entry", f"terminating-gateway/{gateway.lower()}")]
    services = entry.services or () if entry is not None else ()
    for service in services:
        if service.name == "*":
            topics.append("services")
        else:
            lower = service.name.lower()
            topics += [("service", lower), ("config-entry", f"service-defaults/{lower}")]
    rows = _terminating(store, entry) if entry is not None else []
    return tuple(sorted(rows, key=lambda row: row.service.name)), tuple(topics)


def last_change(store: Store) -> int:
    """The index at which something last came to stand behind a gateway, or changed there."""
    found = [
        row.modify_index
        for gateway in store.config.lookup().all(TerminatingGateway)
        for row in _terminating(store, gateway)
    ]
    return max(store.config.gateway_index, *found, 0)


def has_wildcard(store: Store, gateway: str) -> bool:
    """Whether an ingress gateway lets in every service of a protocol."""
    ingress = store.config.lookup().get(IngressGateway, gateway)
    listeners = ingress.listeners or () if ingress is not None else ()
    return any(service.name == "*" for listener in listeners for service in listener.services or ())


def gateways_of(store: Store, service: str) -> list[str]:
    """Names of the ingress gateways that let a service's traffic in."""
    return [
        gateway.name
        for gateway in store.config.lookup().all(IngressGateway)
        if any(row.service.name.lower() == service.lower() for row in _ingress(store, gateway))
    ]


@dataclass(frozen=True, slots=True)
class Gateways:
    """Gateways, the index of their last change (0 where there are none), and the topics of a change."""

    rows: list[ServiceEntry]
    index: int
    topics: tuple[Topic, ...]


NO_GATEWAYS = Gateways([], 0, ())


def gateways_for(store: Store, service: str, *, checks: bool = True) -> Gateways:
    """The terminating gateways that give mesh access to a service, beside sidecars or in their place."""
    names, topics = _speaking_for(store, service.lower())
    index = store.config.gateway_index if names else 0
    rows: list[ServiceEntry] = []
    for name in names:
        own: Topic = ("service-health" if checks else "service", name.lower())
        entries = store.registrations.entries(name, checks=checks)
        rows += [one for one in entries if one.service.kind == "terminating-gateway"]
        index, topics = max(index, store.registrations.index(own)), (*topics, own)
    return Gateways(rows, index, topics)


def _speaking_for(store: Store, lower: str) -> tuple[list[str], tuple[Topic, ...]]:
    """Names of the terminating gateways of a service. A wildcard covers the plain services without mesh access of
    their own, here as in `gateway_services`."""
    found, wildcard = [], False
    for gateway in store.config.lookup().all(TerminatingGateway):
        names = {one.name.lower() for one in gateway.services or ()}
        if lower in names:
            found.append(gateway.name)
        elif "*" in names:
            wildcard = True
            if _is_plain(store, lower) and not store.registrations.has(lower, connect=True):
                found.append(gateway.name)
    topics: tuple[Topic, ...] = (("config-kind", "terminating-gateway"),)
    return found, (*topics, ("service", lower)) if wildcard else topics


def _is_plain(store: Store, lower: str) -> bool:
    rows = store.registrations.entries(lower, checks=False)
    return lower != _OWN and any(not row.service.kind for row in rows)


def _ingress(store: Store, gateway: IngressGateway) -> list[GatewayService]:
    rows: list[GatewayService] = []
    for listener in gateway.listeners or ():
        named = {service.name for service in listener.services or ()}
        for service in listener.services or ():
            wildcard = service.name == "*"
            names = _mesh_services(store, listener.protocol, named) if wildcard else [service.name]
            rows += [
                GatewayService(
                    gateway=Named(name=gateway.name),
                    service=Named(name=name),
                    gateway_kind="ingress-gateway",
                    port=listener.port,
                    protocol=listener.protocol,
                    hosts=service.hosts or (),
                    from_wildcard=wildcard,
                    create_index=gateway.modify_index,
                    modify_index=gateway.modify_index,
                )
                for name in names
            ]
    return rows


def _mesh_services(store: Store, protocol: str, named: set[str]) -> list[str]:
    entries = store.config.lookup()
    return [
        name
        for name in _service_names(store)
        if name not in named
        and store.registrations.has(name.lower(), connect=True)
        and protocol_of(entries, name) == protocol
    ]


def _terminating(store: Store, gateway: TerminatingGateway) -> list[GatewayService]:
    rows = []
    named = {service.name for service in gateway.services or ()}
    for service in gateway.services or ():
        if service.name != "*":
            rows.append(_linked(store, gateway, service, service.name))
            continue
        rows += [
            _linked(store, gateway, service, name)
            for name in _service_names(store)
            if name not in named and not store.registrations.has(name.lower(), connect=True)
        ]
    return rows


def _linked(store: Store, gateway: Entry, service: LinkedService, name: str) -> GatewayService:
    instances = [entry.service for entry in store.registrations.entries(name) if not entry.service.kind]
    defaults = store.config.get("service-defaults", name)
    kind = "service" if instances else ""
    if isinstance(defaults, ServiceDefaults) and defaults.destination is not None:
        kind = "destination"
    since = min((one.create_index for one in instances), default=0)
    return GatewayService(
        gateway=Named(name=gateway.name),
        service=Named(name=name),
        gateway_kind="terminating-gateway",
        ca_file=service.ca_file,
        cert_file=service.cert_file,
        key_file=service.key_file,
        sni=service.sni,
        from_wildcard=service.name == "*",
        service_kind=kind,
        create_index=gateway.modify_index,
        modify_index=max(gateway.modify_index, since),
        auto_host_rewrite=not service.disable_auto_host_rewrite,
    )


def _service_names(store: Store) -> list[str]:
    """Names of plain services, sorted."""
    names = {row.name for row in store.registrations.services.values() if not row.kind}
    return sorted(names - {_OWN})
