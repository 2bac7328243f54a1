"""Who stands before and behind a service in the mesh, and whether intentions let them talk.

Pure. Neighbours come from what proxies registered as their upstreams and from gateways; a service whose proxies are
transparent also has those that an intention names.

Source: surface row IN4; developer.hashicorp.com/consul/docs/connect/observability/ui-visualization; recorded answers of
a running Consul. What may change here: further sources of edges.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from meshagent.catalog.entries.graph import protocol_of
from meshagent.catalog.entries.ingress_gateway import IngressGateway
from meshagent.catalog.entries.service_intentions import ServiceIntentions
from meshagent.catalog.gateway_services import gateway_services, gateways_of
from meshagent.catalog.overviews import EXTERNAL, Summary, proxies_of, summary
from meshagent.connect.intentions import Default, Intention, decide, matching, may_reach, of_entries

if TYPE_CHECKING:
    from meshagent.catalog.store import Store

__all__ = ["Edge", "IntentionSummary", "Topology", "gateway_intentions", "topology"]

REGISTERED, SPECIFIC, WILDCARD, DEFAULT = (
    "proxy-registration",
    "specific-intention",
    "wildcard-intention",
    "default-allow",
)


class IntentionSummary(msgspec.Struct, frozen=True, rename="pascal"):
    """Whether a connection may be, and by what."""

    allowed: bool
    has_permissions: bool
    external_source: str
    has_exact: bool
    default_allow: bool


class Edge(msgspec.Struct, frozen=True):
    """A neighbour, how it is known to be one, and what intentions say."""

    service: Summary
    source: str
    intention: IntentionSummary


class Topology(msgspec.Struct, frozen=True):
    """The neighbours of one service."""

    protocol: str
    transparent_proxy: bool
    upstreams: tuple[Edge, ...]
    downstreams: tuple[Edge, ...]


def topology(store: Store, service: str, kind: str, default: Default) -> Topology:
    """The neighbours of `service`; `kind` is "" or `ingress-gateway`."""
    protocol = protocol_of(store.config.lookup(), service)
    if kind == "ingress-gateway":
        entry = store.config.get(kind, service)
        listeners = entry.listeners or () if isinstance(entry, IngressGateway) else ()
        behind = {row.service.name: REGISTERED for row in gateway_services(store, service)}
        return Topology(
            listeners[0].protocol if listeners else protocol,
            False,
            tuple(_edges(store, default, [(service, name, name, how) for name, how in behind.items()])),
            (),
        )
    own = [row.proxy.mode == "transparent" for row in proxies_of(store, service)]
    up = _upstreams(store, service)
    down = dict.fromkeys([*_dialling(store, service), *gateways_of(store, service)], REGISTERED)
    if any(own):
        up |= {name: how for name, how in _intended(store, default, service, down=False).items() if name not in up}
        down |= {name: how for name, how in _intended(store, default, service, down=True).items() if name not in down}
    return Topology(
        protocol,
        bool(own) and all(own),
        tuple(_edges(store, default, [(service, name, name, how) for name, how in up.items()])),
        tuple(_edges(store, default, [(name, service, name, how) for name, how in down.items()])),
    )


def _upstreams(store: Store, service: str) -> dict[str, str]:
    names = [
        upstream.destination_name
        for proxy in proxies_of(store, service)
        for upstream in proxy.proxy.upstreams or ()
        if upstream.destination_type in {"", "service"} and not upstream.destination_peer
    ]
    return dict.fromkeys(names, REGISTERED)


def _dialling(store: Store, service: str) -> Iterable[str]:
    lower = service.lower()
    for row in store.registrations.services.values():
        if row.kind == "connect-proxy" and any(
            one.destination_name.lower() == lower for one in row.proxy.upstreams or ()
        ):
            yield row.proxy.destination_service_name


def _intended(store: Store, default: Default, service: str, *, down: bool) -> dict[str, str]:
    """Mesh services that intentions, or their absence, let talk to `service` (`down`), or it to them."""
    found: dict[str, str] = {}
    for name in sorted({row.name for row in store.registrations.services.values() if not row.kind} - {"consul"}):
        if name.lower() == service.lower() or not store.registrations.has(name.lower(), connect=True):
            continue
        source, destination = (name, service) if down else (service, name)
        intentions = _intentions(store, destination)
        if may_reach(intentions, source, destination, default):
            said = decide(intentions, source, destination, default).intention
            exact = said is not None and "*" not in {said.source, said.destination}
            found[name] = DEFAULT if said is None else SPECIFIC if exact else WILDCARD
    return found


def _intentions(store: Store, destination: str) -> list[Intention]:
    def get(name: str) -> ServiceIntentions | None:
        found = store.config.get("service-intentions", name)
        return found if isinstance(found, ServiceIntentions) else None

    return matching(get, destination)


def _edges(store: Store, default: Default, found: list[tuple[str, str, str, str]]) -> Iterable[Edge]:
    """(source, destination, neighbour, how it is known) -> edges by name; who has no instances is left out."""
    for source, destination, name, how in sorted(found, key=lambda one: one[2]):
        entries = store.registrations.entries(name)
        if not entries:
            continue
        decision = decide(_intentions(store, destination), source, destination, default)
        one = decision.intention
        yield Edge(
            summary(store, entries),
            how,
            IntentionSummary(
                allowed=decision.allowed,
                has_permissions=bool(one is not None and one.permissions),
                external_source=dict(one.meta).get(EXTERNAL, "") if one is not None else "",
                has_exact=one is not None and "*" not in {one.source, one.destination},
                default_allow=default.allow,
            ),
        )


def gateway_intentions(store: Store, gateway: str) -> list[Intention]:
    """The intentions that speak of the services behind a gateway, the most exact first."""
    names = {row.service.name for row in gateway_services(store, gateway)}
    entries = [store.config.get("service-intentions", name) for name in sorted({*names, "*"} if names else ())]
    return of_entries(entry for entry in entries if isinstance(entry, ServiceIntentions))
