"""An API gateway: its `api-gateway` entry and the routes bound to it, as listeners and upstreams. Pure.

Which routes a listener takes was decided when they were written (`catalog/entries/binding.py`). A listener without
routes, or whose certificates are not there, is not opened.

Source: surface rows M31-M34; api-gateway.json of the golden mesh data;
developer.hashicorp.com/consul/docs/connect/gateways/api-gateway. What may change here: fields of the entries.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from meshagent.catalog.entries.api_gateway import APIGateway, APIListener, BoundAPIGateway, BoundListener, Reference
from meshagent.catalog.entries.certificates import FileSystemCertificate, InlineCertificate
from meshagent.catalog.entries.gateway_routes import HTTPRoute, TCPRoute
from meshagent.catalog.entries.graph import Lookup, is_http, protocol_of
from meshagent.catalog.model import Service, Upstream
from meshagent.connect.chain import Chain, Target, compile_chain
from meshagent.connect.gateways.addresses import bind_addresses
from meshagent.connect.gateways.edge import (
    Certificate,
    Edge,
    EdgeListener,
    EdgeTLS,
    VirtualHost,
    upstream_key,
    with_ready,
)
from meshagent.connect.gateways.filling import Filling
from meshagent.connect.gateways.routing import HostRules, by_host, compile_host, virtual_name
from meshagent.connect.intentions import Default
from meshagent.connect.snapshot import Outbound, outbound_of
from meshagent.errors import MeshError

if TYPE_CHECKING:
    from meshagent.catalog.watch import Topic
    from meshagent.connect.parts import SnapshotParts

__all__ = ["fill"]


def fill(parts: SnapshotParts, service: Service, _: Default) -> Filling:
    """What the entries of the gateway's name open; nothing without them."""
    made = parts.part(("api-gateway", service.name), lambda: _made(parts, service.name))
    targets: dict[str, Target] = {}
    for one in made.outbound:
        if one.chain is not None:
            targets.update(one.chain.targets)
    return Filling(
        outbound=tuple(made.outbound),
        targets=tuple(targets[at] for at in sorted(targets)),
        gateway=Edge(bind_addresses(service), with_ready(service.port, _by_port(made.listeners)), tuple(made.problems)),
        providers=tuple(dict.fromkeys(made.providers)),
    )


def _made(parts: SnapshotParts, name: str) -> tuple[_Gateway, Iterable[Topic]]:
    entries = parts.watched()
    made = _Gateway(entries, parts.datacenter, parts.trust_domain)
    gateway, bound = entries.get(APIGateway, name), entries.get(BoundAPIGateway, name)
    if gateway is not None and bound is not None:
        by_name = {one.name: one for one in bound.listeners or ()}
        for listener in gateway.listeners or ():
            made.add(name, listener, by_name.get(listener.name, BoundListener(name=listener.name)))
    return made, (*entries.topics, "ca-roots")


def _by_port(listeners: Iterable[EdgeListener]) -> tuple[EdgeListener, ...]:
    """Listeners that share a port are one, with the hosts and certificates of all."""
    found: dict[int, EdgeListener] = {}
    for one in listeners:
        held = found.setdefault(one.port, one)
        if held is not one:
            tls = held.tls
            if tls is not None and one.tls is not None:
                both = tuple(dict.fromkeys((*tls.certificates, *one.tls.certificates)))
                tls = msgspec.structs.replace(tls, certificates=both)
            found[one.port] = msgspec.structs.replace(held, hosts=held.hosts + one.hosts, tls=tls or one.tls)
    return tuple(found.values())


class _Gateway:
    """Listeners as they come together."""

    def __init__(self, entries: Lookup, datacenter: str, trust_domain: str) -> None:
        self._entries = entries
        self._datacenter = datacenter
        self._trust_domain = trust_domain
        self.listeners: list[EdgeListener] = []
        self.outbound: list[Outbound] = []
        self.providers: list[str] = []
        self.problems: list[str] = []

    def add(self, gateway: str, listener: APIListener, bound: BoundListener) -> None:
        """One more."""
        certificates = [self._certificate(one) for one in bound.certificates or ()]
        known = tuple(one for one in certificates if one is not None)
        if len(known) < len(certificates):
            gone = [one.name for one, made in zip(bound.certificates or (), certificates, strict=True) if made is None]
            self.problems.append(f"listener {listener.name}: certificates are not there: {', '.join(gone)}")
            return
        tls = listener.tls
        made = EdgeListener(
            name=listener.name,
            port=listener.port,
            protocol=listener.protocol,
            tls=EdgeTLS(known, tls.min_version, tls.max_version, tls.cipher_suites or ()) if known else None,
        )
        if listener.protocol == "tcp":
            upstream = self._tcp(listener, bound)
            if upstream is not None:
                self.listeners.append(msgspec.structs.replace(made, upstream=upstream))
            return
        routes = [one for ref in bound.routes or () if (one := self._entries.get(HTTPRoute, ref.name)) is not None]
        hosts = tuple(
            found
            for one in by_host(listener.hostname, routes)
            if (found := self._host(gateway, listener, one)) is not None
        )
        if hosts:
            self.listeners.append(msgspec.structs.replace(made, hosts=hosts))

    def _host(self, gateway: str, listener: APIListener, host: HostRules) -> VirtualHost | None:
        name = virtual_name(gateway, listener.name, host.host)
        try:
            chain = compile_host(self._entries, name, host, self._protocol(host), self._datacenter, self._trust_domain)
        except MeshError as error:
            self.problems.append(f"listener {listener.name}, host {host.host}: {error}")
            return None
        default = listener.default.jwt if listener.default is not None else None
        override = listener.override.jwt if listener.override is not None else None
        tokens = host.tokens(default, override)
        self.providers += [ref.name for one in tokens if one is not None for ref in one.providers]
        return VirtualHost(name, (host.host,), self._outbound(listener, name, chain), tokens=tokens)

    def _protocol(self, host: HostRules) -> str:
        """What is spoken to the services: HTTP/2 where all of them do."""
        spoken = {protocol_of(self._entries, service) for service in host.services()}
        only = spoken.pop() if len(spoken) == 1 else "http"
        return only if is_http(only) else "http"

    def _tcp(self, listener: APIListener, bound: BoundListener) -> str | None:
        """The key of the upstream behind it; the first route counts."""
        for ref in bound.routes or ():
            route = self._entries.get(TCPRoute, ref.name)
            for service in route.services() if route is not None else ():
                try:
                    chain = compile_chain(self._entries, service, self._datacenter, self._trust_domain)
                except MeshError as error:
                    self.problems.append(f"listener {listener.name}: {error}")
                    return None
                return self._outbound(listener, service, chain)
        return None

    def _outbound(self, listener: APIListener, name: str, chain: Chain) -> str:
        made = outbound_of(Upstream(destination_name=name), chain)
        at, layer4 = upstream_key(listener.name, name), listener.protocol == "tcp"
        made = msgspec.structs.replace(made, at=at, layer4=layer4)
        self.outbound.append(made)
        return made.key

    def _certificate(self, reference: Reference) -> Certificate | None:
        if reference.kind == "inline-certificate":
            inline = self._entries.get(InlineCertificate, reference.name)
            return Certificate(inline.name, inline.certificate, inline.private_key) if inline is not None else None
        files = self._entries.get(FileSystemCertificate, reference.name)
        return Certificate(files.name, files.certificate, files.private_key, files=True) if files is not None else None
