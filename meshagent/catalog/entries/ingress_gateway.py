"""`ingress-gateway`: ports of a gateway into the mesh, and the services behind them.

Source: surface row M27; developer.hashicorp.com/consul/docs/connect/config-entries/ingress-gateway. What may change
here: fields are added with a default.
"""

from __future__ import annotations

import re

from meshagent.catalog.entries.entry import Entry, HeaderModifiers, Part, changed, tls_problem
from meshagent.catalog.entries.service_defaults import PassiveHealthCheck
from meshagent.catalog.model import always

__all__ = ["GatewayTLS", "IngressGateway", "IngressListener", "IngressService"]

_PROTOCOLS = frozenset({"tcp", "http", "http2", "grpc"})
_HOST = re.compile(r"(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?(:[0-9]+)?\Z")


class SDS(Part, frozen=True, kw_only=True):
    """A certificate served to Envoy by somebody else."""

    cluster_name: str = ""
    cert_resource: str = ""


class GatewayTLS(Part, frozen=True, kw_only=True):
    """TLS of a gateway or of one listener."""

    enabled: bool = always(False)
    sds: SDS | None = None
    tls_min_version: str = ""
    tls_max_version: str = ""
    cipher_suites: tuple[str, ...] = ()

    def problem(self) -> str:
        return tls_problem(self.tls_min_version, self.tls_max_version, self.cipher_suites)


class ServiceTLS(Part, frozen=True, kw_only=True):
    """TLS of one service."""

    sds: SDS | None = None


class ServiceLimits(Part, frozen=True, kw_only=True):
    """Bounds for all services of the gateway."""

    max_connections: int = always(0)
    max_pending_requests: int = always(0)
    max_concurrent_requests: int = always(0)
    passive_health_check: PassiveHealthCheck | None = None


class IngressService(Part, frozen=True, kw_only=True):
    """A service behind a listener; `*` is every service."""

    name: str = always("")
    hosts: tuple[str, ...] | None = always(None)
    tls: ServiceTLS | None = None
    request_headers: HeaderModifiers | None = None
    response_headers: HeaderModifiers | None = None
    max_connections: int = 0
    max_pending_requests: int = 0
    max_concurrent_requests: int = 0
    passive_health_check: PassiveHealthCheck | None = None
    meta: dict[str, str] | None = None

    def problem(self, protocol: str) -> str:
        hosts = self.hosts or ()
        if self.name == "*" and protocol != "http":
            return "Wildcard service name is only valid for protocol = 'http'"
        if not self.name:
            return "Service name cannot be blank"
        if hosts and protocol == "tcp":
            return "Associating hosts to a service is not supported for the tcp protocol"
        if hosts and self.name == "*":
            return "Associating hosts to a wildcard service is not supported"
        return ""


class IngressListener(Part, frozen=True, kw_only=True):
    """One port."""

    port: int = always(0)
    protocol: str = always("")
    tls: GatewayTLS | None = None
    services: tuple[IngressService, ...] | None = always(None)

    def problem(self) -> str:
        services = self.services or ()
        where = f"(listener on port {self.port})"
        if self.protocol not in _PROTOCOLS:
            return f"protocol must be 'tcp', 'http', 'http2', or 'grpc'. '{self.protocol}' is an unsupported protocol"
        if not services:
            return f"No service declared for listener with port {self.port}"
        if self.protocol == "tcp" and len(services) > 1:
            return (
                "Multiple services per listener are only supported for L7 protocols, 'http', 'grpc' and 'http2' "
                + where
            )
        seen: set[str] = set()
        hosts: set[str] = set()
        for service in services:
            found = service.problem(self.protocol)
            if not found and service.name in seen:
                found = f"Service {service.name} cannot be added multiple times"
            if found:
                return f"{found} {where}"
            seen.add(service.name)
            for host in service.hosts or ():
                if host in hosts:
                    return f"Hosts must be unique within a specific listener {where}"
                hosts.add(host)
                if found := _host_problem(host):
                    return found
        return self.tls.problem() if self.tls is not None else ""


class IngressGateway(Entry, frozen=True, kw_only=True, tag="ingress-gateway"):
    """What the gateway service `name` lets in."""

    tls: GatewayTLS = always(GatewayTLS())
    listeners: tuple[IngressListener, ...] | None = always(None)
    defaults: ServiceLimits | None = None

    def normalised(self) -> IngressGateway:
        if self.listeners is None:
            return self
        listeners = tuple(changed(one, protocol=one.protocol.lower() or "tcp") for one in self.listeners)
        result: IngressGateway = changed(self, listeners=listeners)
        return result

    def problem(self) -> str:
        found = self.tls.problem()
        ports: set[int] = set()
        for listener in self.listeners or ():
            if found:
                break
            if listener.port in ports:
                return f"port {listener.port} declared on two listeners"
            ports.add(listener.port)
            found = listener.problem()
        return found

    def related(self) -> frozenset[str]:
        return frozenset(
            service.name for one in self.listeners or () for service in one.services or () if service.name != "*"
        )


def _host_problem(host: str) -> str:
    if host == "*":
        return ""
    if "*" in host.removeprefix("*."):
        return f'Host "{host}" is not valid, a wildcard specifier is only allowed as the leftmost label'
    return "" if _HOST.match(host) else f'Host "{host}" must be a valid DNS hostname'
