"""Transparent mode: one listener takes all that leaves, and finds out by its destination what it was meant for.

Source: surface rows X9, M5, M29; the recorded resources. What may change here: what else a destination may mean.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from meshagent.connect.chain import Chain
from meshagent.connect.envoy import clusters, listeners, names, tls
from meshagent.connect.envoy.endpoints import socket_address
from meshagent.connect.envoy.resources import Resource, Resources, typed
from meshagent.connect.snapshot import Cluster, Outbound, ProxySnapshot
from meshagent.connect.transparent import Transparent, canonical

__all__ = ["add"]

_ADDRESS = "127.0.0.1"
_TLS_INSPECTOR: Resource = {
    "name": "envoy.filters.listener.tls_inspector",
    "typed_config": typed("envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"),
}
#: (upstream, its chain, instances of it that are dialled at their own addresses)
_Direct = tuple[Outbound, Chain, Cluster]


def add(found: Resources, snapshot: ProxySnapshot, transparent: Transparent) -> None:
    """Add the listener, and the clusters that it alone needs; those of upstreams are there already."""
    chains = [
        _chain(one.virtual_ips, listeners.upstream_filter(snapshot, one, one.chain))
        for one in snapshot.outbound
        if one.virtual_ips and one.chain is not None
    ]
    chains += _outside_chains(snapshot)
    chains += _direct_chains(found, snapshot)
    name = f"outbound_listener:{names.at(_ADDRESS, transparent.port)}"
    address = socket_address(_ADDRESS, transparent.port)
    listener = listeners.listener(snapshot, name, address, "OUTBOUND", chains)
    listener["listener_filters"] = [listeners.ORIGINAL_DST]
    if any("server_names" in chain["filter_chain_match"] for chain in chains):
        listener["listener_filters"].append(_TLS_INSPECTOR)
    if not transparent.mesh_only:
        cluster = names.ORIGINAL_DESTINATION
        found.clusters[cluster] = clusters.original_destination(cluster)
        listener["default_filter_chain"] = {"filters": [listeners.tcp_proxy(snapshot, f"upstream.{cluster}", cluster)]}
    elif not chains:  # an Envoy refuses a listener that takes nothing, and nothing may leave
        return
    found.listeners[name] = listener


def _chain(addresses: tuple[str, ...], filter_: Resource, port: int = 0) -> Resource:
    match: Resource = {"prefix_ranges": [listeners.prefix(address) for address in addresses]}
    if port:
        match["destination_port"] = port
    return {"filter_chain_match": match, "filters": [filter_]}


def _outside_chains(snapshot: ProxySnapshot) -> list[Resource]:
    """Chains of services outside the mesh, by address or by the name that is asked for in TLS; the first one counts."""
    chains: dict[tuple[str, int], Resource] = {}
    for one in snapshot.outbound:
        for place in one.outside if one.chain is not None else ():
            name, port = place
            address = canonical(name)
            match: Resource = {"prefix_ranges": [listeners.prefix(address)]} if address else {"server_names": [name]}
            filter_ = listeners.upstream_filter(snapshot, one, one.chain)  # type: ignore[arg-type]
            chain = {"filter_chain_match": {**match, "destination_port": port}, "filters": [filter_]}
            chains.setdefault((address or name.lower(), port), chain)
    return list(chains.values())


def _direct_chains(found: Resources, snapshot: ProxySnapshot) -> list[Resource]:
    """Chains of instances that may be dialled at their own addresses. Of services on one host the port tells which."""
    directs = list(_directs(snapshot))
    owners = Counter(address for _, _, held in directs for address in {one.address for one in held.endpoints})
    chains: list[Resource] = []
    taken = {place for one in snapshot.outbound for place in one.outside}
    for outbound, chain, held in directs:
        name = names.passthrough(names.cluster(chain, held.target.id))
        socket = tls.upstream(snapshot, held.target.sni, held.identities, held.target.peer)
        found.clusters[name] = clusters.original_destination(name, socket)
        filter_ = listeners.tcp_proxy(snapshot, names.stat(outbound, snapshot.datacenter), name)
        for one in held.endpoints:
            port = one.direct_port if owners[one.address] > 1 else 0
            if (one.address, port) not in taken:
                taken.add((one.address, port))
                chains.append(_chain((one.address,), filter_, port))
    return chains


def _directs(snapshot: ProxySnapshot) -> Iterator[_Direct]:
    for outbound in snapshot.outbound:
        if outbound.chain is None or not outbound.virtual_ips:
            continue
        for target in outbound.chain.targets:
            held = snapshot.held(outbound.chain, target)
            if any(one.direct_port for one in held.endpoints):
                yield outbound, outbound.chain, _only_direct(held)


def _only_direct(held: Cluster) -> Cluster:
    direct = tuple(one for one in held.endpoints if one.direct_port)
    return Cluster(held.target, held.identities, direct)
