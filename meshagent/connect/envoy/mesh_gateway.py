"""The resources of a mesh gateway: connections are led on by their server names, and never opened.

Source: surface rows X18, M72; mesh-gateway.json of the golden mesh data;
developer.hashicorp.com/consul/docs/connect/proxies/envoy#gateway-options. What may change here: further chains.
"""

from __future__ import annotations

from typing import Any

from meshagent.connect.envoy import by_name, listeners
from meshagent.connect.envoy.resources import Resource, Resources
from meshagent.connect.gateways.addresses import Bind
from meshagent.connect.gateways.ways import MeshGateway
from meshagent.connect.snapshot import Cluster, ProxySnapshot

__all__ = ["mesh_gateway"]

#: Keys of the configuration -> fields of TcpKeepalive.
_KEEPALIVE = {
    "envoy_gateway_remote_tcp_keepalive_probes": "keepalive_probes",
    "envoy_gateway_remote_tcp_keepalive_time": "keepalive_time",
    "envoy_gateway_remote_tcp_keepalive_interval": "keepalive_interval",
}


def mesh_gateway(snapshot: ProxySnapshot) -> Resources:
    """All resources of a `mesh-gateway`. It needs no leaf: nobody talks to it, only through it."""
    found = Resources()
    gateway = snapshot.gateway
    if not isinstance(gateway, MeshGateway):
        return found
    remote = [one for one in snapshot.clusters.values() if f".{one.target.name}" in gateway.suffixes]
    for cluster in snapshot.clusters.values():
        by_name.add_cluster(found, snapshot, cluster, more=_kept_alive(snapshot.config) if cluster in remote else None)
    for bind in gateway.binds:
        made = by_name.listener(snapshot, bind, _chains(snapshot, gateway, bind, remote), "")
        found.listeners[made["name"]] = made
    return found


def _chains(snapshot: ProxySnapshot, gateway: MeshGateway, bind: Bind, remote: list[Cluster]) -> list[Resource]:
    upstreams = {
        one.key: target.name for one in snapshot.outbound if one.chain for target in one.chain.targets.values()
    }
    chains: list[Resource] = []
    for cluster in remote:
        target = cluster.target
        stat = f"mesh_gateway_remote.{bind.name}.{target.datacenter}"
        chains.append(
            {
                "filter_chain_match": {"server_names": [f"*.{target.name}"]},
                "filters": [listeners.tcp_proxy(snapshot, stat, target.name)],
            }
        )
    for name, key in gateway.routes.items():
        cluster_name = upstreams[key]
        if name != cluster_name:  # how callers of peers name it
            stat = f"mesh_gateway_local_peered.{bind.name}.{name}"
            chains.append(
                {
                    "filter_chain_match": {"server_names": [name]},
                    "filters": [listeners.tcp_proxy(snapshot, stat, cluster_name)],
                }
            )
    return [*chains, by_name.everything_else(snapshot, f"mesh_gateway_local.{bind.name}")]


def _kept_alive(config: dict[str, Any]) -> Resource:
    if config.get("envoy_gateway_remote_tcp_enable_keepalive") is not True:
        return {}
    values = {theirs: config.get(key) for key, theirs in _KEEPALIVE.items()}
    whole = {key: int(value) for key, value in values.items() if isinstance(value, int | float) and value > 0}
    return {"upstream_connection_options": {"tcp_keepalive": whole}}
