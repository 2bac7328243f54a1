"""What an instance must fulfil before an agent or the catalog takes it.

Source: surface rows A10, M1, M4, M8 and the answers of a running Consul to bad registrations: the agent puts
`Validation failed: ` before `multierror(...)`, the catalog answers it bare with status 500. Problems come in Consul's
order; a new rule goes where Consul would report it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from meshagent.catalog.model import ExposePath, Service, Upstream

if TYPE_CHECKING:
    from meshagent.agent.definitions.service import ServiceDefinition

__all__ = ["GATEWAY_KINDS", "multierror", "service_problems"]

GATEWAY_KINDS = frozenset({"mesh-gateway", "terminating-gateway", "ingress-gateway", "api-gateway"})
#: These take their ports from config entries.
_PORTLESS_GATEWAYS = frozenset({"ingress-gateway", "api-gateway"})


def multierror(problems: list[str]) -> str:
    """Several errors as one text: `2 errors occurred:`, then a line each, then an empty line."""
    lines = "\n\t".join(f"* {problem}" for problem in problems)
    count = "1 error" if len(problems) == 1 else f"{len(problems)} errors"
    return f"{count} occurred:\n\t{lines}\n\n"


def service_problems(service: Service, sidecar: ServiceDefinition | None = None) -> list[str]:
    """All that is wrong with `service` (its registration asked for `sidecar`); empty if nothing is."""
    problems: list[str] = []
    if service.kind == "connect-proxy":
        problems += _proxy_problems(service)
    if service.kind in GATEWAY_KINDS:
        problems += _gateway_problems(service, sidecar)
    if sidecar is not None:
        if sidecar.id:
            problems.append("A SidecarService cannot specify an ID as this is managed by the agent")
        if sidecar.sidecar is not None:
            problems.append("A SidecarService cannot have a nested SidecarService")
    if service.kind != "connect-proxy" and service.connect.native and not service.port and not service.socket_path:
        problems.append("Port or SocketPath must be set for a Connect native service.")
    if service.locality is not None and service.locality.zone and not service.locality.region:
        problems.append("zone cannot be set without region")
    return problems


def _proxy_problems(service: Service) -> Iterable[str]:
    proxy = service.proxy
    if not service.port and not service.socket_path:
        yield f"Port or SocketPath must be set for a {service.kind}"
    if not proxy.destination_service_name.strip():
        yield "Proxy.DestinationServiceName must be non-empty for Connect proxy services"
    if proxy.destination_service_name == "*":
        yield "Proxy.DestinationServiceName must not be a wildcard for Connect proxy services"
    if service.connect.native:
        yield "A Proxy cannot also be Connect Native, only typical services"
    yield from _upstreams_problems(proxy.upstreams or ())
    yield from _expose_problems(proxy.expose.paths or ())


def _upstreams_problems(upstreams: Iterable[Upstream]) -> Iterable[str]:
    keys, places = set(), set()
    for upstream in upstreams:
        if problem := _upstream_problem(upstream):
            yield problem
            continue
        kind = upstream.destination_type or "service"
        key = (kind, upstream.destination_peer, upstream.destination_name, upstream.datacenter)
        if key in keys:
            yield (
                f'upstreams cannot contain duplicates of [type="{kind}", name="{upstream.destination_name}", '
                f'peer="{upstream.destination_peer}", datacenter="{upstream.datacenter}"]'
            )
            continue
        keys.add(key)
        place = upstream.local_bind_socket_path
        if upstream.local_bind_port:
            address = upstream.local_bind_address or "127.0.0.1"
            place = f"[{address}]" if ":" in address else address
            place += f":{upstream.local_bind_port}"
        if place in places and not upstream.centrally_configured:
            yield (
                "upstreams cannot contain duplicates by local bind address and port or unix path; "
                f'"{place}" is specified twice'
            )
        places.add(place)


def _upstream_problem(upstream: Upstream) -> str:
    if upstream.destination_type not in {"", "service", "prepared_query"}:
        return f'unknown upstream destination type: "{upstream.destination_type}"'
    if not upstream.destination_name:
        return "upstream destination name cannot be empty"
    if upstream.destination_name == "*" and not upstream.centrally_configured:
        return "upstream destination name cannot be a wildcard"
    if upstream.destination_peer and upstream.datacenter:
        return "upstream cannot specify both destination peer and datacenter"
    if upstream.centrally_configured:
        return ""
    if not upstream.local_bind_port and not upstream.local_bind_socket_path:
        return "upstream local bind port or local socket path must be defined and nonzero"
    if upstream.local_bind_port and upstream.local_bind_socket_path:
        return "only one of upstream local bind port or local socket path can be defined and nonzero"
    return ""


def _expose_problems(paths: Iterable[ExposePath]) -> Iterable[str]:
    names, listeners = set(), set()
    for path in paths:
        if not path.path:
            yield "expose.paths: empty path exposed"
        if path.path in names:
            yield "expose.paths: duplicate paths exposed"
        if path.listener_port in listeners:
            yield "expose.paths: duplicate listener ports exposed"
        if not 0 < path.listener_port <= 65535:
            yield f"expose.paths: invalid listener port: {path.listener_port}"
        if path.protocol.lower() not in {"", "http", "http2"}:
            yield f"protocol '{path.protocol}' not supported for path: {path.path}, must be in: [http http2]"
        names.add(path.path)
        listeners.add(path.listener_port)


def _gateway_problems(service: Service, sidecar: ServiceDefinition | None) -> Iterable[str]:
    kind, proxy = service.kind, service.proxy
    if not service.port and kind not in _PORTLESS_GATEWAYS:
        yield f"Port must be non-zero for a {kind}"
    if sidecar is not None:
        yield f"A {kind} cannot have a sidecar service defined"
    for name, value in {
        "DestinationServiceName": proxy.destination_service_name,
        "DestinationServiceID": proxy.destination_service_id,
        "LocalServiceAddress": proxy.local_service_address,
        "LocalServicePort": proxy.local_service_port,
        "LocalServiceSocketPath": proxy.local_service_socket_path,
        "Upstreams": proxy.upstreams,
    }.items():
        if value:
            yield f"The Proxy.{name} configuration is invalid for a {kind}"
