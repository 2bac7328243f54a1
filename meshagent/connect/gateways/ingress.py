"""An ingress gateway: its `ingress-gateway` entry as listeners and upstreams.

Each (listener, service) is an upstream of its own, with the limits of the entry. A wildcard stands for the services of
the mesh that speak the listener's protocol. Pure.

Source: surface rows M27, M62; ingress.json of the golden mesh data;
developer.hashicorp.com/consul/docs/connect/config-entries/ingress-gateway. What may change here: fields of the entry.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from meshagent.catalog.entries.graph import protocol_of
from meshagent.catalog.entries.ingress_gateway import (
    GatewayTLS,
    IngressGateway,
    IngressListener,
    IngressService,
    ServiceLimits,
)
from meshagent.catalog.mesh_services import TOPIC as MESH_SERVICES
from meshagent.catalog.model import Service, Upstream
from meshagent.connect.chain import Target
from meshagent.connect.gateways.addresses import bind_addresses
from meshagent.connect.gateways.edge import Edge, EdgeListener, EdgeTLS, VirtualHost, upstream_key, with_ready
from meshagent.connect.gateways.filling import Filling
from meshagent.connect.gateways.names import has_tls
from meshagent.connect.intentions import Default
from meshagent.connect.snapshot import Outbound, outbound_of

if TYPE_CHECKING:
    from meshagent.catalog.watch import Topic
    from meshagent.connect.parts import SnapshotParts

__all__ = ["fill"]


def fill(parts: SnapshotParts, service: Service, _: Default) -> Filling:
    """What the entry of the gateway's name opens; nothing without one."""
    entry = parts.entry(IngressGateway, service.name)
    made = _Ingress(parts)
    if entry is not None:
        for listener in entry.listeners or ():
            made.add(entry, listener)
    edge = Edge(bind_addresses(service), with_ready(service.port, made.listeners), tuple(made.problems))
    targets = (made.targets[at] for at in sorted(made.targets))
    return Filling(outbound=tuple(made.outbound), targets=tuple(targets), gateway=edge)


class _Ingress:
    """Listeners as they come together."""

    def __init__(self, parts: SnapshotParts) -> None:
        self._parts = parts
        self.listeners: list[EdgeListener] = []
        self.outbound: list[Outbound] = []
        self.targets: dict[str, Target] = {}
        self.problems: list[str] = []

    def add(self, entry: IngressGateway, listener: IngressListener) -> None:
        """One more."""
        name, hosts = str(listener.port), []
        for service in self._services(listener):
            upstream = self._upstream(entry, listener, service)
            if upstream is None:
                continue
            hosts.append(
                VirtualHost(
                    name=service.name,
                    domains=service.hosts or (f"{service.name}.ingress.*",),
                    upstream=upstream.key,
                    request=service.request_headers,
                    response=service.response_headers,
                    sds=service.tls.sds if service.tls is not None else None,
                )
            )
        if not hosts:
            self.problems.append(f"port {listener.port}: there is no service behind it")
            return
        http = listener.protocol != "tcp"
        self.listeners.append(
            EdgeListener(
                name=name,
                port=listener.port,
                protocol=listener.protocol,
                tls=_tls(entry, listener),
                hosts=tuple(hosts) if http else (),
                upstream="" if http else hosts[0].upstream,
            )
        )

    def _upstream(self, entry: IngressGateway, listener: IngressListener, service: IngressService) -> Outbound | None:
        upstream = Upstream(destination_name=service.name, config=_limits(entry.defaults, service))
        chain, problem = self._parts.chain_of(upstream)
        if chain is None:
            self.problems.append(f"port {listener.port}: {problem}")
            return None
        if listener.protocol != "tcp" and not chain.is_http:
            self.problems.append(
                f'port {listener.port}: service "{service.name}" has the protocol "{chain.protocol}", which is '
                f'incompatible with the listener\'s "{listener.protocol}"'
            )
            return None
        at, layer4 = upstream_key(str(listener.port), service.name), listener.protocol == "tcp"
        made = msgspec.structs.replace(outbound_of(upstream, chain), at=at, layer4=layer4)
        self.outbound.append(made)
        self.targets.update(chain.targets)
        return made

    def _services(self, listener: IngressListener) -> list[IngressService]:
        """Those of a listener, the wildcard spread out behind the others."""
        services = listener.services or ()
        named = [one for one in services if one.name != "*"]
        for one in services:
            if one.name == "*":
                without = {other.name.lower() for other in named}
                found = self._parts.part(
                    ("ingress-wildcard", listener.protocol), lambda: self._speaking(listener.protocol)
                )
                named += [msgspec.structs.replace(one, name=name) for name in found if name.lower() not in without]
        return named

    def _speaking(self, protocol: str) -> tuple[tuple[str, ...], Iterable[Topic]]:
        """The services of the mesh that speak a protocol and have instances."""
        entries = self._parts.watched()
        topics: dict[Topic, None] = {MESH_SERVICES: None}
        found = []
        for one in self._parts.services():
            rows, of_rows = self._parts.instances(one.name)
            topics |= dict.fromkeys(of_rows)
            if protocol_of(entries, one.name) == protocol and any(True for _ in rows):
                found.append(one.name)
        return tuple(found), (*entries.topics, *topics)


def _limits(defaults: ServiceLimits | None, service: IngressService) -> dict[str, Any] | None:
    """Limits of the service, else of the gateway, in the words of an upstream's configuration."""
    shared = defaults or ServiceLimits()
    words = {
        "max_connections": service.max_connections or shared.max_connections,
        "max_pending_requests": service.max_pending_requests or shared.max_pending_requests,
        "max_concurrent_requests": service.max_concurrent_requests or shared.max_concurrent_requests,
    }
    limits = {word: value for word, value in words.items() if value > 0}
    passive = service.passive_health_check or shared.passive_health_check
    config: dict[str, Any] = {"limits": limits} if limits else {}
    if passive is not None:
        config["passive_health_check"] = msgspec.to_builtins(passive)
    return config or None


def _sds(entry: IngressGateway, listener: IngressListener) -> Any:
    own = listener.tls.sds if listener.tls is not None else None
    shared = entry.tls.sds
    if own is None or shared is None:
        return own or shared
    return msgspec.structs.replace(
        own,
        cluster_name=own.cluster_name or shared.cluster_name,
        cert_resource=own.cert_resource or shared.cert_resource,
    )


def _tls(entry: IngressGateway, listener: IngressListener) -> EdgeTLS | None:
    """The listener's own settings, else the gateway's."""
    services = listener.services or ()
    by_service = any(one.tls is not None and one.tls.sds is not None for one in services)
    if not has_tls(entry, listener) and not by_service:
        return None
    own, shared = listener.tls or GatewayTLS(), entry.tls
    return EdgeTLS(
        min_version=own.tls_min_version or shared.tls_min_version,
        max_version=own.tls_max_version or shared.tls_max_version,
        cipher_suites=own.cipher_suites or shared.cipher_suites,
        sds=_sds(entry, listener),
    )
