"""Central configuration: what `proxy-defaults` and `service-defaults` add to a registered proxy.

Pure: a registration and a look-up of entries come in, the proxy block as it holds comes out. Later ones win:
proxy-defaults, service-defaults, the registration; for an upstream its defaults, its override, itself.

Source: surface row M6; developer.hashicorp.com/consul/docs/connect/config-entries (proxy-defaults, service-defaults).
What may change here: fields that newer entries have.
"""

from __future__ import annotations

from typing import Any

import msgspec

from meshagent.catalog.entries.graph import Lookup, protocol_of
from meshagent.catalog.entries.proxy_defaults import ProxyDefaults
from meshagent.catalog.entries.service_defaults import ServiceDefaults, UpstreamSettings
from meshagent.catalog.model import AccessLogs, Expose, MeshGateway, Proxy, Service, TransparentProxy, Upstream

__all__ = ["MERGED_KINDS", "merged", "merged_proxy", "merged_upstream"]

#: Kinds of registrations that central configuration speaks of.
MERGED_KINDS = frozenset({"connect-proxy", "mesh-gateway", "terminating-gateway", "ingress-gateway", "api-gateway"})


def merged(service: Service, entries: Lookup) -> Service:
    """A registration with the central configuration in it; the same object when nothing is added."""
    if service.kind not in MERGED_KINDS:
        return service
    proxy = merged_proxy(service, entries)
    return service if proxy == service.proxy else msgspec.structs.replace(service, proxy=proxy)


def merged_proxy(service: Service, entries: Lookup) -> Proxy:
    """The proxy block of a registration with the central configuration in it."""
    given = service.proxy
    name = given.destination_service_name if service.kind == "connect-proxy" else service.name
    everyone = entries.get(ProxyDefaults, "global")
    own = entries.get(ServiceDefaults, name)
    if everyone is None and own is None and not given.upstreams:
        return given
    config: dict[str, Any] = dict(everyone.config or {}) if everyone is not None else {}
    if own is not None:
        config |= _of_service(own)
    config |= given.config or {}
    changes: dict[str, Any] = {
        "config": config or given.config,
        "mode": given.mode or _first("mode", "", own, everyone) or "",
        "transparent_proxy": given.transparent_proxy or _first("transparent_proxy", TransparentProxy(), own, everyone),
        "access_logs": given.access_logs or _first("access_logs", AccessLogs(), everyone),
        "envoy_extensions": given.envoy_extensions or _extensions(everyone) + _extensions(own) or None,
    }
    if not given.mesh_gateway.mode:
        changes["mesh_gateway"] = _first("mesh_gateway", MeshGateway(), own, everyone) or MeshGateway()
    if given.expose == Expose():
        changes["expose"] = _first("expose", Expose(), own, everyone) or Expose()
    if given.upstreams:
        changes["upstreams"] = tuple(merged_upstream(one, own, entries) for one in given.upstreams)
    return msgspec.structs.replace(given, **changes)


def _first(field: str, empty: Any, *entries: Any) -> Any:
    """The field of the first entry in which it is set, None when it is in none."""
    values = (getattr(entry, field) for entry in entries if entry is not None)
    return next((value for value in values if value != empty), None)


def _extensions(entry: ProxyDefaults | ServiceDefaults | None) -> tuple[Any, ...]:
    return entry.envoy_extensions if entry is not None else ()


def _of_service(own: ServiceDefaults) -> dict[str, Any]:
    """What service-defaults say in the words of the opaque configuration."""
    words = {
        "protocol": own.protocol,
        "max_inbound_connections": own.max_inbound_connections,
        "local_connect_timeout_ms": own.local_connect_timeout_ms,
        "local_request_timeout_ms": own.local_request_timeout_ms,
        "balance_inbound_connections": own.balance_inbound_connections,
        "rate_limits": own.rate_limits,
    }
    return {word: value for word, value in words.items() if value}


def merged_upstream(one: Upstream, own: ServiceDefaults | None, entries: Lookup) -> Upstream:
    """An upstream with the central configuration in it; `own` are the defaults of the service that dials it."""
    if one.destination_type != "service":
        return one
    config: dict[str, Any] = {}
    gateway = one.mesh_gateway
    settings = own.upstream_config if own is not None else None
    if settings is not None:
        override = next((it for it in settings.overrides if it.name == one.destination_name), None)
        for layer in (settings.defaults, override):
            if layer is not None:
                config |= _of_upstream(layer)
                if not one.mesh_gateway.mode and layer.mesh_gateway.mode:
                    gateway = layer.mesh_gateway
    protocol = protocol_of(entries, one.destination_name)
    if protocol != "tcp":
        config.setdefault("protocol", protocol)
    config |= one.config or {}
    if config == (one.config or {}) and gateway == one.mesh_gateway:
        return one
    return msgspec.structs.replace(one, config=config, mesh_gateway=gateway)


def _of_upstream(layer: UpstreamSettings) -> dict[str, Any]:
    words: dict[str, Any] = {
        "envoy_listener_json": layer.envoy_listener_json,
        "envoy_cluster_json": layer.envoy_cluster_json,
        "protocol": layer.protocol,
        "connect_timeout_ms": layer.connect_timeout_ms,
        "limits": msgspec.to_builtins(layer.limits) if layer.limits is not None else None,
        "passive_health_check": msgspec.to_builtins(layer.passive_health_check)
        if layer.passive_health_check is not None
        else None,
        "balance_outbound_connections": layer.balance_outbound_connections,
    }
    return {word: value for word, value in words.items() if value}
