"""Resources with versions: the hash of what is in them, the same on every agent and after every restart. No I/O.

Source: envoyproxy.io "xDS REST and gRPC protocol", resource versions. What may change here: the hash; proxies that
reconnect are then sent everything once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from meshagent.connect.envoy.resources import ORDER, Resource, Resources

__all__ = ["Versioned", "VersionedResources", "versioned"]


#: Fields of filters, routes and services of a filter that name a cluster.
_NAMES = frozenset({"cluster", "cluster_name", "clusterName"})


class Versioned:
    """A resource with its version. `encoded` is for who sends it; `resource` is there until `forget`."""

    __slots__ = ("__weakref__", "_clusters", "encoded", "resource", "version")

    def __init__(self, resource: Resource) -> None:
        self.resource = resource
        encoded = msgspec.json.encode(resource, order="deterministic")
        self.version = hashlib.blake2b(encoded, digest_size=16).hexdigest()
        self.encoded = b""
        self._clusters: frozenset[str] | None = None

    @property
    def clusters(self) -> frozenset[str]:
        """The clusters that it sends to, by name: those of a listener, a route, an aggregate cluster."""
        if self._clusters is None:
            self._clusters = frozenset(_clusters(self.resource))
        return self._clusters

    def forget(self) -> None:
        """Keep only the bytes: the dicts of a thousand proxies are large."""
        self._clusters = self.clusters
        self.resource = {}


#: By type, then by name.
VersionedResources = Mapping[str, Mapping[str, Versioned]]


def versioned(resources: Resources) -> VersionedResources:
    """All of them with versions."""
    return {
        type_url: {name: Versioned(resource) for name, resource in resources.of(type_url).items()} for type_url in ORDER
    }


def _clusters(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, part in value.items():
            if isinstance(part, str):
                if key in _NAMES:
                    yield part
            elif key == "clusters" and isinstance(part, list):  # of an aggregate cluster, or with weights
                yield from (one if isinstance(one, str) else str(one.get("name", "")) for one in part)
                yield from _clusters(part)
            else:
                yield from _clusters(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _clusters(part)
