"""Clusters of a sidecar: the application, one for each resolver of a chain, those that it fails over to.

Source: surface rows X12, M25, M43, M75; envoyproxy.io `config.cluster.v3`; the recorded resources. What may change
here: further settings of a cluster, in `_tuned`.
"""

from __future__ import annotations

from typing import Any

from meshagent.catalog.entries.graph import is_http
from meshagent.catalog.entries.service_resolver import LoadBalancer
from meshagent.connect.chain import Chain, ResolverNode
from meshagent.connect.envoy import durations, names, tls
from meshagent.connect.envoy.endpoints import socket_address
from meshagent.connect.envoy.resources import Resource, typed
from meshagent.connect.envoy.sources import ads
from meshagent.connect.resilience import ActiveCheck, Ejection, Limits, Resilience, given_of
from meshagent.connect.snapshot import Cluster, Inbound, Outbound, ProxySnapshot

__all__ = [
    "aggregate",
    "eds",
    "http2_options",
    "local_app",
    "local_connect_timeout",
    "original_destination",
    "resolved",
    "static",
]

_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_HTTP2 = frozenset({"http2", "grpc"})
#: Policies of entries (and our own) -> Envoy's; what it does not have is done by the nearest it has.
_POLICIES = {
    "least_request": "LEAST_REQUEST",
    "peak_ewma": "LEAST_REQUEST",
    "random": "RANDOM",
    "ring_hash": "RING_HASH",
    "maglev": "MAGLEV",
}
#: Milliseconds to reach the application where nobody says it; the built-in proxy has another default (row M70).
_LOCAL_CONNECT_MS = 5000
_EJECTION = {
    "interval_s": "interval",
    "consecutive_5xx": "consecutive_5xx",
    "enforcing_consecutive_5xx": "enforcing_consecutive_5xx",
    "consecutive_gateway_failure": "consecutive_gateway_failure",
    "enforcing_consecutive_gateway_failure": "enforcing_consecutive_gateway_failure",
    "success_rate_hosts": "success_rate_minimum_hosts",
    "success_rate_requests": "success_rate_request_volume",
    "enforcing_success_rate": "enforcing_success_rate",
    "max_ejection_percent": "max_ejection_percent",
    "base_ejection_s": "base_ejection_time",
}


def local_app(snapshot: ProxySnapshot, inbound: Inbound) -> Resource:
    """The application behind the sidecar."""
    address = (
        {"pipe": {"path": inbound.local_socket}}
        if inbound.local_socket
        else socket_address(inbound.local_address, inbound.local_port)
    )
    found = static(names.LOCAL_APP, address, local_connect_timeout(snapshot, inbound))
    if inbound.max_connections:
        found["circuit_breakers"] = {"thresholds": [{"max_connections": inbound.max_connections}]}
    if inbound.protocol in _HTTP2:
        found |= _http_options(
            "use_downstream_protocol_config", {"http_protocol_options": {}, "http2_protocol_options": {}}
        )
    return found


def local_connect_timeout(snapshot: ProxySnapshot, inbound: Inbound) -> str:
    """How long it may take to reach the application."""
    given = "local_connect_timeout_ms" in snapshot.config
    return durations.of_milliseconds(inbound.connect_timeout_ms if given else _LOCAL_CONNECT_MS)


def static(name: str, address: Resource, connect_timeout: str) -> Resource:
    """A cluster of one address."""
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": connect_timeout,
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }


def original_destination(name: str, socket: Resource | None = None) -> Resource:
    """A cluster of what a connection was meant for, over a transport socket where there is one."""
    found: Resource = {"name": name, "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED", "connect_timeout": "5s"}
    return {**found, "transport_socket": socket} if socket is not None else found


def resolved(
    snapshot: ProxySnapshot, outbound: Outbound, chain: Chain, node: ResolverNode
) -> tuple[dict[str, Resource], dict[str, Cluster]]:
    """(clusters, their instances) by name behind one resolver: one cluster, or one over those that it fails over to."""
    name = names.cluster(chain, node.target)
    timeout = durations.of_text(node.connect_timeout)
    if node.failover is None:
        held = snapshot.held(chain, node.target)
        return {name: eds(snapshot, outbound, name, held, timeout, node.load_balancer)}, {name: held}
    clusters: dict[str, Resource] = {}
    instances: dict[str, Cluster] = {}
    for at, target in enumerate((node.target, *node.failover)):
        one = names.failover(at, name)
        instances[one] = snapshot.held(chain, target)
        clusters[one] = eds(snapshot, outbound, one, instances[one], timeout, node.load_balancer)
    clusters[name] = aggregate(name, list(clusters), timeout)
    return clusters, instances


def aggregate(name: str, members: list[str], connect_timeout: str) -> Resource:
    """A cluster over others: the first of them with a usable instance."""
    config = typed("envoy.extensions.clusters.aggregate.v3.ClusterConfig", {"clusters": members})
    return {
        "name": name,
        "alt_stat_name": name,
        "connect_timeout": connect_timeout,
        "lb_policy": "CLUSTER_PROVIDED",
        "cluster_type": {"name": "envoy.clusters.aggregate", "typed_config": config},
    }


def eds(
    snapshot: ProxySnapshot,
    outbound: Outbound,
    name: str,
    cluster: Cluster,
    connect_timeout: str,
    balancer: LoadBalancer | None = None,
) -> Resource:
    """A cluster whose instances are told over EDS, reached over the TLS of the mesh."""
    target = cluster.target
    protocol = outbound.chain.protocol if outbound.chain is not None else "tcp"
    check = outbound.resilience.check
    if check is not None and check.grpc and not is_http(protocol):
        protocol = "grpc"  # of no meaning for bytes that are pumped, and what the check needs
    return {
        "name": name,
        "alt_stat_name": name,
        "type": "EDS",
        "eds_cluster_config": {"eds_config": ads(snapshot.config)},
        "connect_timeout": connect_timeout,
        **_tuned(outbound.config, balancer, protocol),
        **http2_options(protocol),
        "transport_socket": tls.upstream(snapshot, target.sni or name, cluster.identities, target.peer),
    }


def http2_options(protocol: str) -> Resource:
    """What makes a cluster speak HTTP/2, where the protocol of its services needs it."""
    if protocol not in _HTTP2:
        return {}
    return _http_options("explicit_http_config", {"http2_protocol_options": {}})


def _http_options(choice: str, options: Resource) -> Resource:
    return {"typed_extension_protocol_options": {_HTTP_OPTIONS: typed(_HTTP_OPTIONS, {choice: options})}}


def _tuned(config: dict[str, Any], balancer: LoadBalancer | None, protocol: str) -> Resource:
    """Limits, ejection, checks and balancing; what nobody set is left to Envoy."""
    given = given_of(config)
    rest = given.get(Resilience, {})
    found: Resource = {
        "circuit_breakers": _limits(given.get(Limits, {})),
        "outlier_detection": _ejection(given.get(Ejection, {})),
        "common_lb_config": {"healthy_panic_threshold": _percent(rest.get("panic_percent", 0.0))},
        **_balancing(rest.get("policy", ""), balancer, rest.get("slow_start_s", 0.0)),
    }
    if isinstance(config.get("health_check"), dict):
        found["health_checks"] = [_check(ActiveCheck(**given.get(ActiveCheck, {})), protocol)]
    return found


def _percent(value: float) -> Resource:
    return {"value": value} if value else {}


def _limits(given: dict[str, Any]) -> Resource:
    threshold: Resource = {}
    for field, theirs in (
        ("max_connections", "max_connections"),
        ("max_pending_requests", "max_pending_requests"),
        ("max_concurrent_requests", "max_requests"),
    ):
        if field in given:
            threshold[theirs] = given[field]
    budget: Resource = {}
    if "retry_budget_percent" in given:
        budget["budget_percent"] = {"value": min(given["retry_budget_percent"], 100.0)}
    if "min_retries" in given:
        budget["min_retry_concurrency"] = given["min_retries"]
    if budget:
        threshold["retry_budget"] = budget
    return {"thresholds": [threshold]} if threshold else {}


def _ejection(given: dict[str, Any]) -> Resource:
    return {
        theirs: durations.of_seconds(given[field]) if field.endswith("_s") else given[field]
        for field, theirs in _EJECTION.items()
        if field in given
    }


def _balancing(policy: str, balancer: LoadBalancer | None, slow_start_s: float) -> Resource:
    chosen = policy or (balancer.policy if balancer is not None else "")
    found: Resource = {"lb_policy": _POLICIES[chosen]} if chosen in _POLICIES else {}
    least: Resource = {}
    if balancer is not None and balancer.ring_hash_config is not None and chosen == "ring_hash":
        ring = balancer.ring_hash_config
        sizes = {"minimum_ring_size": ring.minimum_ring_size, "maximum_ring_size": ring.maximum_ring_size}
        found["ring_hash_lb_config"] = {key: value for key, value in sizes.items() if value}
    if balancer is not None and balancer.least_request_config is not None and chosen == "least_request":
        least["choice_count"] = balancer.least_request_config.choice_count
    slow = {"slow_start_config": {"slow_start_window": durations.of_seconds(slow_start_s)}} if slow_start_s else {}
    if found.get("lb_policy") == "LEAST_REQUEST" and (least or slow):
        found["least_request_lb_config"] = {**least, **slow}
    elif "lb_policy" not in found and slow:
        found["round_robin_lb_config"] = slow
    return found


def _check(check: ActiveCheck, protocol: str) -> Resource:
    """An active check. An Envoy asks over gRPC only where its cluster speaks HTTP/2; elsewhere it connects."""
    found: Resource = {
        "timeout": durations.of_seconds(check.timeout_s),
        "interval": durations.of_seconds(check.interval_s),
        "unhealthy_threshold": check.unhealthy,
        "healthy_threshold": check.healthy,
    }
    if check.grpc and protocol in _HTTP2:
        service = {"service_name": check.grpc_service} if check.grpc_service else {}
        return {**found, "grpc_health_check": service}
    if check.path and not check.grpc:
        return {**found, "http_health_check": {"path": check.path}}
    return {**found, "tcp_health_check": {}}
