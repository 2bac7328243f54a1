"""Escape hatches: resources that an operator writes himself, in place of those that are rendered.

Each is the JSON of one resource. What the mesh stands on is put into it again: mutual TLS and intentions into a public
listener, TLS into the cluster of an upstream. A hatch of an upstream counts while nothing routes its traffic.

Source: surface row M74; developer.hashicorp.com/consul/docs/connect/proxies/envoy#escape-hatch-overrides; the recorded
resources. What may change here: a further key.
"""

from __future__ import annotations

import json
from typing import Any

from meshagent.connect.chain import Chain, ResolverNode
from meshagent.connect.envoy import rbac, tls
from meshagent.connect.envoy.resources import CLUSTER, LISTENER, TYPE_PREFIX, Resource
from meshagent.connect.snapshot import Inbound, Outbound, ProxySnapshot
from meshagent.errors import BadRequest

__all__ = ["cluster", "listener", "local_cluster", "public_listener", "read"]


def public_listener(snapshot: ProxySnapshot, inbound: Inbound) -> Resource | None:
    """`envoy_public_listener_json`: every filter chain of it asks for mutual TLS and for intentions first."""
    found = read(snapshot.config, "envoy_public_listener_json", LISTENER)
    if found is None:
        return None
    allowed = rbac.network(snapshot.intentions, snapshot.default_allow, snapshot.trust_domain, snapshot.trusts)
    socket = tls.downstream(snapshot, tls.alpn_of(inbound.protocol))
    every = [
        *found.get("filter_chains", ()),
        *([found["default_filter_chain"]] if "default_filter_chain" in found else ()),
    ]
    for chain in every:
        chain["filters"] = [allowed, *chain.get("filters", ())]
        chain["transport_socket"] = socket
    return found


def local_cluster(snapshot: ProxySnapshot) -> Resource | None:
    """`envoy_local_cluster_json`: the application's cluster, as it is."""
    return read(snapshot.config, "envoy_local_cluster_json", CLUSTER)


def listener(outbound: Outbound, chain: Chain) -> Resource | None:
    """`envoy_listener_json`: the listener of an upstream, as it is."""
    return read(outbound.config, "envoy_listener_json", LISTENER) if _counts(outbound, chain) else None


def cluster(snapshot: ProxySnapshot, outbound: Outbound, chain: Chain, node: ResolverNode) -> Resource | None:
    """`envoy_cluster_json`: the cluster of an upstream, over the TLS of the mesh."""
    found = read(outbound.config, "envoy_cluster_json", CLUSTER) if _counts(outbound, chain) else None
    if found is None:
        return None
    held = snapshot.held(chain, node.target)
    socket = tls.upstream(snapshot, held.target.sni, held.identities, held.target.peer)
    return {**found, "transport_socket": socket}


def _counts(outbound: Outbound, chain: Chain) -> bool:
    return chain.default or outbound.destination_type != "service"


def read(config: dict[str, Any], key: str, type_url: str) -> Resource | None:
    """The resource under a key of opaque configuration, in our form; None without one.

    Raises:
        BadRequest: it is no JSON, or not of that type; the key is named.
    """
    text = config.get(key)
    if not isinstance(text, str) or not text:
        return None
    from meshagent.connect.envoy import wire  # with protobuf: only where there is a hatch

    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"{key}: {error}") from error
    if not isinstance(value, dict) or value.get("@type", type_url) != type_url:
        raise BadRequest(f"{key}: is to be a {type_url.removeprefix(TYPE_PREFIX)}")
    try:
        found = wire.decode(wire.encode(value, type_url), type_url)
    except BadRequest as error:
        raise BadRequest(f"{key}: {error}") from error
    if not found.get("name"):
        raise BadRequest(f"{key}: name is missing")
    return found
