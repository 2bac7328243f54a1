"""Listeners of gateways that look at the server name of TLS, and clusters of what is behind them. Pure.

Source: surface rows X17, X18, M72; terminating.json, mesh-gateway.json of the golden mesh data; envoyproxy.io
`filters.network.sni_cluster`, `service_discovery#logical-dns`. What may change here: further keys of a gateway's
configuration.
"""

from __future__ import annotations

import ipaddress

from meshagent.connect.envoy import durations, endpoints, listeners, names
from meshagent.connect.envoy.clusters import http2_options
from meshagent.connect.envoy.endpoints import socket_address
from meshagent.connect.envoy.resources import Resource, Resources, typed
from meshagent.connect.envoy.sources import ads
from meshagent.connect.gateways.addresses import Bind
from meshagent.connect.snapshot import Cluster, Endpoint, ProxySnapshot

__all__ = ["add_cluster", "everything_else", "listener"]

_TLS_INSPECTOR: Resource = {
    "name": "envoy.filters.listener.tls_inspector",
    "typed_config": typed("envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"),
}
_SNI_CLUSTER: Resource = {
    "name": "envoy.filters.network.sni_cluster",
    "typed_config": typed("envoy.extensions.filters.network.sni_cluster.v3.SniCluster"),
}
#: Names are looked up again so often (seconds).
_REFRESH_S = 10


def listener(snapshot: ProxySnapshot, bind: Bind, chains: list[Resource], direction: str) -> Resource:
    """A listener that knows the server name before it chooses a chain; `direction` may be ""."""
    name, address = f"{bind.name}:{names.at(bind.address, bind.port)}", socket_address(bind.address, bind.port)
    found = listeners.listener(snapshot, name, address, direction, chains)
    if not direction:
        del found["traffic_direction"]
    return {**found, "listener_filters": [_TLS_INSPECTOR]}


def everything_else(snapshot: ProxySnapshot, stat_prefix: str) -> Resource:
    """The chain behind the others: to the cluster that is called as the server name, if there is one."""
    return {"filters": [_SNI_CLUSTER, listeners.tcp_proxy(snapshot, stat_prefix, "")]}


def add_cluster(
    found: Resources, snapshot: ProxySnapshot, cluster: Cluster, protocol: str = "tcp", more: Resource | None = None
) -> None:
    """The cluster of a target, and its instances: over EDS, or in the cluster where they are host names."""
    target, name = cluster.target, cluster.target.name
    common: Resource = {
        "name": name,
        "connect_timeout": durations.of_text(target.connect_timeout),
        "outlier_detection": {},
        **http2_options(protocol),
        **(more or {}),
    }
    hosts = [one for one in (*cluster.endpoints, *cluster.unhealthy) if not _is_ip(one.address)]
    if hosts:
        found.clusters[name] = {**common, **_by_dns(snapshot, name, hosts)}
        return
    found.clusters[name] = {
        **common,
        "type": "EDS",
        "eds_cluster_config": {"eds_config": ads(snapshot.config)},
    }
    found.endpoints[name] = endpoints.assignment(name, cluster, snapshot.region, snapshot.zone)


def _by_dns(snapshot: ProxySnapshot, name: str, hosts: list[Endpoint]) -> Resource:
    """Envoy follows one name, unless it is told to take the addresses of all."""
    strict = snapshot.config.get("envoy_dns_discovery_type") == "STRICT_DNS"
    wanted = hosts if strict else hosts[:1]
    kept = [endpoints.endpoint(one) for one in wanted]
    return {
        "type": "STRICT_DNS" if strict else "LOGICAL_DNS",
        "dns_refresh_rate": durations.of_seconds(_REFRESH_S),
        "dns_lookup_family": "V4_ONLY",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": kept}]},
    }


def _is_ip(address: str) -> bool:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True
