"""Instances of a cluster, with their health and weights, nearer ones first where that is wanted.

Source: surface rows X14, M25 (`PrioritizeByLocality`); envoyproxy.io `config.endpoint.v3`. What may change here:
nothing but what snapshots know of instances.
"""

from __future__ import annotations

from meshagent.connect.envoy.resources import Resource
from meshagent.connect.proxy.cluster.locality import by_locality
from meshagent.connect.snapshot import Cluster, Endpoint

__all__ = ["MAX_WEIGHT", "assignment", "endpoint", "socket_address"]

#: Envoy's bound of an endpoint's weight.
MAX_WEIGHT = 128


def assignment(name: str, cluster: Cluster, region: str = "", zone: str = "") -> Resource:
    """The instances of a cluster named `name`, seen from a proxy in a region and zone."""
    together = (*cluster.endpoints, *cluster.unhealthy)
    groups = by_locality(together, region, zone, cluster.target.prioritize_by_locality)
    found: Resource = {"cluster_name": name}
    if groups:
        found["endpoints"] = [
            {"lb_endpoints": [endpoint(one) for one in group], **({"priority": at} if at else {})}
            for at, group in enumerate(groups)
        ]
    return found


def socket_address(address: str, port: int) -> Resource:
    """An address and a port."""
    return {"socket_address": {"address": address, "port_value": port}}


def endpoint(one: Endpoint) -> Resource:
    """One instance."""
    return {
        "endpoint": {"address": socket_address(one.address, one.port)},
        "health_status": "UNHEALTHY" if one.status == "critical" else "HEALTHY",
        "load_balancing_weight": min(one.weight, MAX_WEIGHT),
    }
