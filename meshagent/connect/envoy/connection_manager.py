"""Envoy's HTTP connection manager: the public listener of a sidecar, its upstreams, exposed paths; a `Manager` for
gateways. Pure.

Filters stand in this order: those of the protocol (gRPC), tokens, intentions, who asks, rates, faults, the router. The
public side makes paths one of a kind before anybody looks at them. gRPC says nothing of certificates in headers.

Source: surface rows X5, X6, X8, M22, M29, M71; the recorded resources of a real Consul (golden mesh data, xds); Envoy's
HttpConnectionManager. What may change here: further settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from meshagent.catalog.model import AccessLogs
from meshagent.connect.envoy import access_logs, faults, jwt, names, rate_limits, rbac, routes, tracing
from meshagent.connect.envoy.resources import Resource, typed
from meshagent.connect.envoy.sources import ads
from meshagent.connect.exposing import Exposed
from meshagent.connect.mesh_settings import MeshSettings
from meshagent.connect.snapshot import Outbound, ProxySnapshot

__all__ = ["Manager", "exposed", "inbound", "outbound", "tells_who_asks", "who_asks"]

_FILTERS = "envoy.extensions.filters.http."
_HTTP2 = frozenset({"http2", "grpc"})
#: Parts of a SPIFFE id and the key of the metadata that each goes to, in the order of the expression's groups.
_PARTS = ("trust-domain", "partition", "namespace", "datacenter", "service")
_SPIFFE = r".*URI=spiffe://([^/]+.[^/]+)(?:/ap/([^/]+))?/ns/([^/]+)/dc/([^/]+)/svc/([^/;,]+).*"


@dataclass(frozen=True)
class Manager:
    """One connection manager. Of `route_config` and `rds` (a name and the proxy's configuration) one is given.

    `filters` stand before the router. `mesh` is given on a side where others come in: paths are made one of a kind;
    `forwards` says there who asks.
    """

    stat_prefix: str
    protocol: str = "http"
    route_config: Resource | None = None
    rds: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    filters: tuple[Resource, ...] = ()
    logs: AccessLogs | None = None
    mesh: MeshSettings | None = None
    forwards: bool = False
    tracing: Resource | None = None

    def filter(self) -> Resource:
        """The network filter."""
        config = dict(self.config)
        grpc = _grpc_filters() if self.protocol == "grpc" else ()
        fields: Resource = {
            "stat_prefix": self.stat_prefix,
            "http_filters": [*grpc, *self.filters, _router()],
            "tracing": self.tracing or tracing.of_config(config) or {"random_sampling": {}},
            "upgrade_configs": [{"upgrade_type": "websocket"}],
        }
        if self.route_config is not None:
            fields["route_config"] = self.route_config
        else:
            fields["rds"] = {"route_config_name": self.rds, "config_source": ads(config)}
        if self.protocol in _HTTP2:
            fields["http2_protocol_options"] = {}
        logs = access_logs.filter_logs(self.logs)
        if logs:
            fields["access_log"] = logs
        if self.mesh is not None:
            fields |= _normalization(self.mesh)
        if self.forwards:
            fields["forward_client_cert_details"] = "APPEND_FORWARD"
            details = dict.fromkeys(("cert", "chain", "dns", "subject", "uri"), True)
            fields["set_current_client_cert_details"] = details
        name = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
        return {"name": "envoy.filters.network.http_connection_manager", "typed_config": typed(name, fields)}


def inbound(snapshot: ProxySnapshot) -> Resource:
    """The filter of a sidecar's public listener."""
    one = snapshot.inbound
    if one is None:
        raise ValueError(f"{snapshot.proxy_id}: no inbound side")
    told = tells_who_asks(snapshot.mesh, one.protocol)
    filters = [
        jwt.http(snapshot.intentions, snapshot.jwt_providers),
        rbac.http(
            snapshot.intentions,
            snapshot.default_allow,
            snapshot.trust_domain,
            snapshot.trusts,
            snapshot.jwt_providers,
        ),
        who_asks() if told else None,
        *rate_limits.http(snapshot.rate_limits, told=told),
    ]
    return Manager(
        "public_listener",
        one.protocol,
        route_config=routes.public(snapshot, one),
        config=snapshot.config,
        filters=tuple(it for it in filters if it is not None),
        logs=snapshot.observing.access_logs,
        tracing=tracing.of_snapshot(snapshot),
        mesh=snapshot.mesh,
        forwards=told,
    ).filter()


def outbound(snapshot: ProxySnapshot, one: Outbound) -> Resource:
    """The filter of an upstream's listener, or of its chain in transparent mode."""
    rds = routes.uses_rds(one)
    return Manager(
        names.stat(one, snapshot.datacenter),
        one.chain.protocol if one.chain is not None else "http",
        route_config=None if rds else routes.inline(snapshot, one),
        rds=names.upstream(one) if rds else "",
        config=snapshot.config,
        filters=(faults.FILTER,) if routes.has_faults(one) else (),
        logs=snapshot.observing.access_logs,
        tracing=tracing.of_snapshot(snapshot),
    ).filter()


def exposed(snapshot: ProxySnapshot, one: Exposed, cluster: str) -> Resource:
    """The filter of a path without mutual TLS."""
    name = names.exposed_filter(one)
    return Manager(
        name,
        one.protocol,
        route_config=routes.exposed(name, one.path, cluster),
        config=snapshot.config,
        logs=snapshot.observing.access_logs,
        tracing=tracing.of_snapshot(snapshot),
    ).filter()


def tells_who_asks(mesh: MeshSettings, protocol: str) -> bool:
    """Whether who asks stands in `x-forwarded-client-cert`."""
    return protocol != "grpc" and not mesh.sanitize_xfcc


def who_asks() -> Resource:
    """The filter that takes who asks apart, for logs, rates and extensions."""
    rules = [
        {
            "header": "x-forwarded-client-cert",
            "on_header_present": {
                "metadata_namespace": "consul",
                "key": key,
                "regex_value_rewrite": {"pattern": {"regex": _SPIFFE}, "substitution": f"\\{at}"},
            },
        }
        for at, key in enumerate(_PARTS, start=1)
    ]
    message = typed(_FILTERS + "header_to_metadata.v3.Config", {"request_rules": rules})
    return {"name": "envoy.filters.http.header_to_metadata", "typed_config": message}


def _grpc_filters() -> tuple[Resource, ...]:
    stats = typed(_FILTERS + "grpc_stats.v3.FilterConfig", {"stats_for_all_methods": True})
    bridge = typed(_FILTERS + "grpc_http1_bridge.v3.Config")
    return (
        {"name": "envoy.filters.http.grpc_stats", "typed_config": stats},
        {"name": "envoy.filters.http.grpc_http1_bridge", "typed_config": bridge},
    )


def _router() -> Resource:
    return {"name": "envoy.filters.http.router", "typed_config": typed(_FILTERS + "router.v3.Router")}


def _normalization(mesh: MeshSettings) -> Resource:
    rules = mesh.normalization
    found: Resource = {}
    if rules.path:
        found["normalize_path"] = True
    if rules.merge_slashes:
        found["merge_slashes"] = True
    if rules.escaped_slashes:
        found["path_with_escaped_slashes_action"] = rules.escaped_slashes
    if rules.underscores:
        found["common_http_protocol_options"] = {"headers_with_underscores_action": rules.underscores}
    return found
