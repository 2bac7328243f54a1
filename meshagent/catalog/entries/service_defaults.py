"""`service-defaults`: protocol and proxy settings of one service.

Source: surface row M21; developer.hashicorp.com/consul/docs/connect/config-entries/service-defaults. What may change
here: fields are added with a default.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from meshagent.catalog.entries.entry import Entry, Nanoseconds, Part, changed, multierror
from meshagent.catalog.entries.envoy_extensions import extension_problems
from meshagent.catalog.entries.rate_limits import read_limits
from meshagent.catalog.model import EnvoyExtension, Expose, MeshGateway, TransparentProxy, always

__all__ = ["Destination", "ServiceDefaults", "UpstreamConfig", "UpstreamSettings"]

_PROTOCOLS = frozenset({"", "tcp", "http", "http2", "grpc"})
_BALANCE = frozenset({"", "exact_balance"})
_HOST = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*\Z"
)


class Limits(Part, frozen=True, kw_only=True):
    """Bounds of what a proxy sends to an upstream at once."""

    max_connections: int | None = None
    max_pending_requests: int | None = None
    max_concurrent_requests: int | None = None


class PassiveHealthCheck(Part, frozen=True, kw_only=True):
    """Outlier ejection."""

    interval: Nanoseconds = 0
    max_failures: int = 0
    enforcing_consecutive_5xx: int | None = None
    max_ejection_percent: int | None = None
    base_ejection_time: Nanoseconds | None = None


class UpstreamSettings(Part, frozen=True, kw_only=True):
    """How the service's proxy reaches one upstream, or all."""

    name: str = ""
    peer: str = always("")
    envoy_listener_json: str = ""
    envoy_cluster_json: str = ""
    protocol: str = ""
    connect_timeout_ms: int = 0
    limits: Limits | None = None
    passive_health_check: PassiveHealthCheck | None = None
    mesh_gateway: MeshGateway = always(MeshGateway())
    balance_outbound_connections: str = ""

    def problem(self, named: bool) -> str:
        if named and not self.name:
            return "Name is required"
        if named and self.name == "*":
            return "Wildcard name is not supported"
        if not named and self.name:
            return "Name must be empty"
        if not named and self.peer:
            return "Peer must be empty"
        if self.balance_outbound_connections not in _BALANCE:
            return f"invalid value for balance_outbound_connections: {self.balance_outbound_connections}"
        check = self.passive_health_check
        if check is not None and check.max_ejection_percent is not None and not 0 <= check.max_ejection_percent <= 100:
            return "passive health check MaxEjectionPercent must be between 0 and 100"
        return ""


class UpstreamConfig(Part, frozen=True, kw_only=True):
    """Settings by upstream; `defaults` for those without an override."""

    overrides: tuple[UpstreamSettings, ...] = ()
    defaults: UpstreamSettings | None = None


class Destination(Part, frozen=True, kw_only=True):
    """A service outside the mesh, reached through a terminating gateway."""

    addresses: tuple[str, ...] = ()
    port: int = 0


class ServiceDefaults(Entry, frozen=True, kw_only=True, tag="service-defaults"):
    """Settings of the service `name`."""

    protocol: str = always("")
    mode: str = ""
    transparent_proxy: TransparentProxy = always(TransparentProxy())
    mutual_tls_mode: str = ""
    mesh_gateway: MeshGateway = always(MeshGateway())
    expose: Expose = always(Expose())
    external_sni: str = ""
    upstream_config: UpstreamConfig | None = None
    destination: Destination | None = None
    max_inbound_connections: int = 0
    local_connect_timeout_ms: int = 0
    local_request_timeout_ms: int = 0
    balance_inbound_connections: str = ""
    rate_limits: dict[str, Any] | None = None
    envoy_extensions: tuple[EnvoyExtension, ...] = ()

    def normalised(self) -> ServiceDefaults:
        upstreams = self.upstream_config
        if upstreams is not None:
            defaults = upstreams.defaults
            upstreams = changed(
                upstreams,
                overrides=tuple(_normalised(one) for one in upstreams.overrides) or (),
                defaults=_normalised(defaults) if defaults is not None else None,
            )
        result: ServiceDefaults = changed(self, protocol=self.protocol.lower(), upstream_config=upstreams)
        return result

    def problem(self) -> str:
        if not self.name:
            return "Name is required"
        if self.name == "*":
            return "service-defaults name must be the name of a service, and not a wildcard"
        problems = []
        if self.protocol not in _PROTOCOLS:
            problems.append(f"invalid value for protocol: {self.protocol}")
        if self.balance_inbound_connections not in _BALANCE:
            problems.append(f"invalid value for balance_inbound_connections: {self.balance_inbound_connections}")
        if self.mutual_tls_mode not in {"", "strict", "permissive"}:
            problems.append(
                f'Invalid MutualTLSMode "{self.mutual_tls_mode}". Must be one of "", "strict", "permissive"'
            )
        if self.upstream_config is not None:
            problems += _upstream_problems(self.upstream_config)
        if self.destination is not None:
            problems += _destination_problems(self.destination)
        if self.rate_limits is not None:
            problems += _rate_problems(self.rate_limits)
        problems += extension_problems(self.envoy_extensions)
        return multierror(problems)


def _normalised(upstream: UpstreamSettings) -> UpstreamSettings:
    result: UpstreamSettings = changed(
        upstream, protocol=upstream.protocol.lower(), connect_timeout_ms=max(0, upstream.connect_timeout_ms)
    )
    return result


def _upstream_problems(config: UpstreamConfig) -> list[str]:
    problems = []
    for upstream in config.overrides:
        found = upstream.problem(named=True)
        if found:
            problems.append(f"error in upstream override for {upstream.name}:{upstream.peer}: {found}")
    if config.defaults is not None:
        found = config.defaults.problem(named=False)
        if found:
            problems.append(f"error in upstream defaults: {found}")
    return problems


def _destination_problems(destination: Destination) -> list[str]:
    problems = []
    if not destination.addresses:
        problems.append("Destination must contain at least one valid address")
    problems += [
        f"Destination address '{address}' is invalid Could not validate address {address} as an IP or Hostname"
        for address in destination.addresses
        if not _is_host(address)
    ]
    if not 1 <= destination.port <= 65535:
        problems.append(f"Invalid Port number {destination.port}")
    return problems


def _rate_problems(given: dict[str, Any]) -> list[str]:
    try:
        read_limits(given)
    except ValueError as error:
        return [f"invalid rate_limits config. {error}"]
    return []


def _is_host(address: str) -> bool:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return _HOST.match(address) is not None
    return True
