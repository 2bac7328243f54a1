"""Services at a glance: instances, health and gateways of each name in one row, and whole nodes. What web pages list.

Pure: a store in, rows and the index of their last change out. A row counts every check that concerns an instance, its
node's too.

Source: surface rows IN1-IN5; developer.hashicorp.com/consul/api-docs/internal; recorded answers of a running Consul.
What may change here: columns of later Consul releases.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from meshagent.catalog.entries.entry import Part
from meshagent.catalog.entries.ingress_gateway import IngressGateway
from meshagent.catalog.entries.terminating_gateway import TerminatingGateway
from meshagent.catalog.gateway_services import gateway_services
from meshagent.catalog.model import Check, Service, ServiceEntry, always
from meshagent.catalog.peering.imported import peer_topic
from meshagent.catalog.watch import Topic

if TYPE_CHECKING:
    from meshagent.catalog.store import Store

__all__ = [
    "EXTERNAL",
    "TOPICS",
    "GatewayConfig",
    "NodeDump",
    "Overview",
    "Summary",
    "exported",
    "health_counts",
    "node_dumps",
    "proxies_of",
    "summaries",
    "summary",
    "topics_of",
]

#: What changes any of this.
TOPICS: tuple[Topic, ...] = ("nodes", "services", "checks", "config-entries")
#: The key under which integrations say who registered a service.
EXTERNAL = "external-source"


class NodeDump(Part, frozen=True, kw_only=True):
    """A node with all that is on it."""

    id: str = always("")
    node: str = always("")
    address: str = always("")
    tagged_addresses: dict[str, str] | None = always(None)
    meta: dict[str, str] | None = always(None)
    peer_name: str = ""
    services: list[Service] = always([])
    checks: list[Check] = always([])


class GatewayConfig(Part, frozen=True, kw_only=True):
    """How a service stands to gateways: how many services are behind it, or where it is reached through one."""

    associated_service_count: int = 0
    addresses: tuple[str, ...] = ()


NO_GATEWAY = GatewayConfig()


class Summary(Part, frozen=True, kw_only=True):
    """One service name."""

    kind: str = ""
    name: str = always("")
    datacenter: str = always("")
    tags: tuple[str, ...] | None = always(None)
    nodes: tuple[str, ...] | None = always(())
    external_sources: tuple[str, ...] | None = always(None)
    instance_count: int = always(0)
    checks_passing: int = always(0)
    checks_warning: int = always(0)
    checks_critical: int = always(0)
    gateway_config: GatewayConfig = always(NO_GATEWAY)
    transparent_proxy: bool = always(False)
    connect_native: bool = always(False)
    peer_name: str = ""


class Overview(Summary, frozen=True, kw_only=True):
    """One service name in the list of all."""

    connected_with_proxy: bool = always(False)
    connected_with_gateway: bool = always(False)


def topics_of(peer: str) -> tuple[Topic, ...]:
    """What changes any of this for what is imported from a peer."""
    return tuple(peer_topic(peer, topic) for topic in TOPICS) if peer else TOPICS


def node_dumps(store: Store, name: str = "", peer: str = "") -> list[NodeDump]:
    """All nodes by name, or the one of that name or id; with `peer` those imported from it."""
    registrations = store.place(peer)
    if name:
        found = registrations.node(name)
        nodes = [found] if found is not None else []
    else:
        nodes = [registrations.nodes[key] for key in sorted(registrations.nodes)]
    return [
        NodeDump(
            id=node.id,
            node=node.name,
            address=node.address,
            tagged_addresses=node.tagged_addresses,
            meta=node.meta,
            peer_name=node.peer_name,
            services=registrations.on_node(node.name),
            checks=registrations.checks_on(node.name),
        )
        for node in nodes
    ]


def summaries(
    store: Store, keep: Callable[[list[ServiceEntry]], list[ServiceEntry]] = list, peer: str = ""
) -> list[Overview]:
    """One row for each name that has instances, by name; only the instances that `keep` returns count."""
    registrations = store.place(peer)
    names = sorted({service.name for service in registrations.services.values()})
    behind = behind_gateways(store) if not peer else set()
    rows = []
    for name in names:
        entries = keep(registrations.entries(name))
        if not entries:
            continue
        count = len(gateway_services(store, name)) if entries[0].service.kind and not peer else 0
        row = summary(store, entries, GatewayConfig(associated_service_count=count))
        rows.append(
            Overview(
                **{field: getattr(row, field) for field in row.__struct_fields__},
                connected_with_proxy=bool(proxies_of(store, name, peer)),
                connected_with_gateway=name.lower() in behind,
            )
        )
    return rows


def exported(store: Store, names: Iterable[str], datacenter: str) -> list[Overview]:
    """One row for each of the names, also for those without instances."""
    rows = {row.name.lower(): row for row in summaries(store)}
    return [rows.get(name.lower(), Overview(name=name, datacenter=datacenter, nodes=None)) for name in names]


def summary(store: Store, entries: Sequence[ServiceEntry], gateway: GatewayConfig = NO_GATEWAY) -> Summary:
    """The row of the instances of one name; there is at least one."""
    states = Counter(check.status for entry in entries for check in entry.checks)
    first = entries[0]
    name = first.service.name
    peer = first.service.peer_name
    return Summary(
        kind=first.service.kind,
        name=name,
        datacenter=first.node.datacenter,
        peer_name=peer,
        tags=_sorted(tag for entry in entries for tag in entry.service.tags),
        nodes=tuple(sorted({entry.node.name for entry in entries})),
        external_sources=_sorted(_sources(entries)),
        instance_count=len(entries),
        checks_passing=states["passing"],
        checks_warning=states["warning"],
        checks_critical=states["critical"],
        gateway_config=gateway,
        transparent_proxy=any(proxy.proxy.mode == "transparent" for proxy in proxies_of(store, name, peer)),
        connect_native=any(entry.service.connect.native for entry in entries),
    )


def health_counts(store: Store) -> dict[str, list[dict[str, object]]]:
    """How many nodes, instances of each service, and checks of each name are in which state."""
    registrations = store.registrations
    nodes = [_worst(registrations.checks_on(node.name)) for node in registrations.nodes.values()]
    services: dict[str, list[str]] = {}
    for name in sorted({service.name for service in registrations.services.values()}):
        services[name] = [_worst(entry.checks) for entry in registrations.entries(name)]
    checks: dict[str, list[str]] = {}
    for check in registrations.checks.values():
        checks.setdefault(check.name, []).append(check.status)
    return {
        "Nodes": [_counted(nodes)],
        "Services": [{"Name": name, **_counted(found)} for name, found in services.items()],
        "Checks": [{"Name": name, **_counted(found)} for name, found in sorted(checks.items())],
    }


def _worst(checks: Iterable[Check]) -> str:
    states = {check.status for check in checks}
    return next((state for state in ("critical", "warning") if state in states), "passing")


def _counted(states: list[str]) -> dict[str, object]:
    return {
        "Total": len(states),
        **{state.title(): states.count(state) for state in ("passing", "warning", "critical")},
    }


def proxies_of(store: Store, name: str, peer: str = "") -> list[Service]:
    """The sidecars that give mesh access to a service."""
    found = store.place(peer).entries(name, connect=True, checks=False)
    return [entry.service for entry in found if entry.service.kind == "connect-proxy"]


def behind_gateways(store: Store) -> set[str]:
    """Names, in lower case, of all services behind any gateway."""
    entries = store.config.lookup()
    gateways = [*entries.all(IngressGateway), *entries.all(TerminatingGateway)]
    return {row.service.name.lower() for gateway in gateways for row in gateway_services(store, gateway.name)}


def _sources(entries: Iterable[ServiceEntry]) -> Iterator[str]:
    for entry in entries:
        source = (entry.service.meta or {}).get(EXTERNAL, "")
        if source:
            yield source


def _sorted(words: Iterable[str]) -> tuple[str, ...] | None:
    return tuple(sorted(set(words))) or None
