"""A sidecar's snapshot whose resources extensions change: web, which speaks HTTP or TCP, with upstreams api and db."""

from __future__ import annotations

from typing import Any

from meshagent.catalog.model import EnvoyExtension
from meshagent.catalog.store import Store
from meshagent.connect.chain import Overrides, compile_chain
from meshagent.connect.envoy import wire
from meshagent.connect.envoy.render import render
from meshagent.connect.envoy.resources import CLUSTER, ENDPOINTS, LISTENER, ROUTES, Resource, Resources
from meshagent.connect.snapshot import Cluster, Inbound, Outbound, ProxySnapshot
from meshtest.config_entries import write

__all__ = ["MANAGER", "extended", "filters_of", "http_filters_of", "sidecar", "the_manager"]

MANAGER = "envoy.filters.network.http_connection_manager"
_DOMAIN = "11111111-2222-3333-4444-555555555555.consul"


def sidecar(*extensions: EnvoyExtension, protocol: str = "http", **more: Any) -> ProxySnapshot:
    """web at 127.0.0.1:27001; api (HTTP with a router, so with routes of its own) and db (TCP) at 27101 and 27102."""
    store = Store()
    entries = (
        {"Kind": "service-defaults", "Name": "api", "Protocol": "http"},
        {"Kind": "service-router", "Name": "api", "Routes": [{"Destination": {"NumRetries": 2}}]},
    )
    for entry in entries:
        assert write(store, entry) == ""
    outbound = []
    clusters = {}
    for name, port in (("api", 27101), ("db", 27102)):
        chain = compile_chain(store.config.lookup(), name, "dc1", _DOMAIN, Overrides())
        outbound.append(Outbound(name, "127.0.0.1", port, chain=chain))
        for target in chain.targets.values():
            clusters[target.id] = Cluster(target, (f"spiffe://{_DOMAIN}/ns/default/dc/dc1/svc/{name}",))
    given: dict[str, Any] = {
        "inbound": Inbound("127.0.0.1", 27001, "127.0.0.1", 8080, protocol=protocol),
        "outbound": tuple(outbound),
        "clusters": clusters,
        "roots": ("root",),
        "leaf_chain": "leaf",
        "leaf_key": "key",
        "extensions": extensions,
    }
    return ProxySnapshot("web-sidecar-proxy", "web", "dc1", _DOMAIN, True, "default", **(given | more))


def extended(name: str, arguments: dict[str, Any], **more: Any) -> Resources:
    """The resources of the sidecar with one extension; all of them are messages of Envoy."""
    own = {key: more.pop(key) for key in ("required", "consul_version", "envoy_version") if key in more}
    found = render(sidecar(EnvoyExtension(name=name, arguments=arguments, **own), **more))
    for kind in (CLUSTER, ENDPOINTS, LISTENER, ROUTES):
        for resource in found.of(kind).values():
            wire.read(resource, kind)
    return found


def filters_of(resources: Resources, listener: str) -> list[Resource]:
    """The network filters of a listener's first chain; `listener` is how its name begins."""
    [found] = [one for name, one in resources.listeners.items() if name.startswith(listener)]
    filters: list[Resource] = found["filter_chains"][0]["filters"]
    return filters


def the_manager(resources: Resources, listener: str) -> Resource:
    """The connection manager of a listener."""
    [found] = [one["typed_config"] for one in filters_of(resources, listener) if one["name"] == MANAGER]
    return dict(found)


def http_filters_of(resources: Resources, listener: str) -> list[str]:
    """The names of its HTTP filters, without what stands before all of them."""
    return [one["name"].removeprefix("envoy.filters.http.") for one in the_manager(resources, listener)["http_filters"]]
