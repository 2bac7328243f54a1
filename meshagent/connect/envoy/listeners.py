"""Listeners of a sidecar, and the filters at layer 4.

Source: surface rows X5, X8, X10, X11, M71; envoyproxy.io `config.listener.v3`; the recorded resources. What may change
here: further filters at layer 4.
"""

from __future__ import annotations

import ipaddress

from meshagent.catalog.entries.graph import is_http
from meshagent.connect.chain import Chain, ResolverNode
from meshagent.connect.envoy import access_logs, connection_manager, names, rate_limits, rbac, tls
from meshagent.connect.envoy.endpoints import socket_address
from meshagent.connect.envoy.resources import Resource, typed
from meshagent.connect.exposing import Exposed
from meshagent.connect.snapshot import Inbound, Outbound, ProxySnapshot

__all__ = ["ORIGINAL_DST", "exposed", "listener", "prefix", "public", "tcp_proxy", "upstream", "upstream_filter"]

_NETWORK = "envoy.extensions.filters.network."
#: Finds out where a redirected connection was meant for.
ORIGINAL_DST: Resource = {
    "name": "envoy.filters.listener.original_dst",
    "typed_config": typed("envoy.extensions.filters.listener.original_dst.v3.OriginalDst"),
}


def listener(
    snapshot: ProxySnapshot, name: str, address: Resource, direction: str, chains: list[Resource], balance: str = ""
) -> Resource:
    """A listener with its filter chains; `direction` is INBOUND or OUTBOUND."""
    found: Resource = {
        "name": name,
        "address": address,
        "filter_chains": chains,
        "traffic_direction": direction,
    }
    if logs := access_logs.listener_logs(snapshot.observing.access_logs):
        found["access_log"] = logs
    if balance == "exact_balance":
        found["connection_balance_config"] = {"exact_balance": {}}
    return found


def tcp_proxy(snapshot: ProxySnapshot, stat_prefix: str, cluster: str) -> Resource:
    """The filter that pumps bytes."""
    fields: Resource = {"stat_prefix": stat_prefix, "cluster": cluster}
    if logs := access_logs.filter_logs(snapshot.observing.access_logs):
        fields["access_log"] = logs
    return {
        "name": "envoy.filters.network.tcp_proxy",
        "typed_config": typed(_NETWORK + "tcp_proxy.v3.TcpProxy", fields),
    }


def prefix(network: str) -> Resource:
    """A range of addresses, `10.0.0.0/8` or one address."""
    found = ipaddress.ip_network(network, strict=False)
    return {"address_prefix": str(found.network_address), "prefix_len": found.prefixlen}


# --- others call this service ----------------------------------------------------------------------------------------


def public(snapshot: ProxySnapshot, inbound: Inbound) -> Resource:
    """Where the mesh comes in: mutual TLS, who may, how many, and then the application."""
    limit = [_connection_limit(inbound.max_connections)] if inbound.max_connections else []
    if is_http(inbound.protocol):
        filters = [*limit, connection_manager.inbound(snapshot)]
    else:
        allowed = rbac.network(snapshot.intentions, snapshot.default_allow, snapshot.trust_domain, snapshot.trusts)
        rate = rate_limits.connections(snapshot.rate_limits)
        first = [rate] if rate is not None else []
        filters = [*first, allowed, *limit, tcp_proxy(snapshot, "public_listener", names.LOCAL_APP)]
    chains: list[Resource] = [
        {"filters": filters, "transport_socket": tls.downstream(snapshot, tls.alpn_of(inbound.protocol))}
    ]
    name = f"public_listener:{names.at(inbound.address, inbound.port)}"
    address = socket_address(inbound.address, inbound.port)
    found = listener(snapshot, name, address, "INBOUND", chains, inbound.balance_connections)
    if snapshot.mesh.permissive:
        plain = tcp_proxy(snapshot, "permissive_public_listener", names.LOCAL_APP)
        chains.append({"filter_chain_match": {"destination_port": inbound.local_port}, "filters": [plain]})
        found["listener_filters"] = [ORIGINAL_DST]
    return found


def _connection_limit(bound: int) -> Resource:
    fields = {"stat_prefix": "inbound_connection_limit", "max_connections": bound}
    return {
        "name": "envoy.filters.network.connection_limit",
        "typed_config": typed(_NETWORK + "connection_limit.v3.ConnectionLimit", fields),
    }


def exposed(snapshot: ProxySnapshot, one: Exposed, cluster: str) -> Resource:
    """A path of the application without mutual TLS."""
    chain: Resource = {"filters": [connection_manager.exposed(snapshot, one, cluster)]}
    if one.sources:
        chain["filter_chain_match"] = {"source_prefix_ranges": [prefix(source) for source in one.sources]}
    address = socket_address(one.address, one.port)
    return listener(snapshot, names.exposed_listener(one), address, "INBOUND", [chain])


# --- this service calls others ---------------------------------------------------------------------------------------


def upstream(snapshot: ProxySnapshot, outbound: Outbound, chain: Chain) -> Resource:
    """Where the application dials an upstream."""
    address = socket_address(outbound.address, outbound.port)
    if outbound.socket_path:
        address = {"pipe": {"path": outbound.socket_path, **_mode(outbound.socket_mode)}}
    chains = [{"filters": [upstream_filter(snapshot, outbound, chain)]}]
    balance = outbound.balance_connections
    return listener(snapshot, names.listener(outbound), address, "OUTBOUND", chains, balance)


def upstream_filter(snapshot: ProxySnapshot, outbound: Outbound, chain: Chain) -> Resource:
    """What takes connections to an upstream on: by request, or at layer 4 to the one resolver that there is."""
    if outbound.is_http:
        return connection_manager.outbound(snapshot, outbound)
    (target,) = (
        node.target for key, node in chain.nodes.items() if key == chain.start and isinstance(node, ResolverNode)
    )
    return tcp_proxy(snapshot, names.stat(outbound, snapshot.datacenter), names.cluster(chain, target))


def _mode(text: str) -> Resource:
    """The mode of a socket file, written in octal."""
    return {"mode": int(text, 8)} if text else {}
