"""What an Envoy holds, by type and name, in the JSON form of protocol buffers.

A resource is a dict with the field names of Envoy's API in snake case and "@type" where it stands in an `Any`; enums
are names, durations texts like "5s". `wire.py` makes bytes of it. No I/O.

Source: envoyproxy.io "xDS REST and gRPC protocol" (resource types, the order in which they are sent). What may change
here: further types of resources.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["CLUSTER", "ENDPOINTS", "LISTENER", "ORDER", "ROUTES", "TYPE_PREFIX", "Resource", "Resources", "typed"]

#: In front of a message's name in "@type".
TYPE_PREFIX = "type.googleapis.com/"
CLUSTER = TYPE_PREFIX + "envoy.config.cluster.v3.Cluster"
ENDPOINTS = TYPE_PREFIX + "envoy.config.endpoint.v3.ClusterLoadAssignment"
LISTENER = TYPE_PREFIX + "envoy.config.listener.v3.Listener"
ROUTES = TYPE_PREFIX + "envoy.config.route.v3.RouteConfiguration"
#: What is named comes before what names it, so that nothing is routed to what is not there yet.
ORDER = (CLUSTER, ENDPOINTS, LISTENER, ROUTES)

Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Resources:
    """All resources of one Envoy: by name, each without "@type" at its top."""

    clusters: dict[str, Resource] = field(default_factory=dict)
    endpoints: dict[str, Resource] = field(default_factory=dict)
    listeners: dict[str, Resource] = field(default_factory=dict)
    routes: dict[str, Resource] = field(default_factory=dict)

    def of(self, type_url: str) -> dict[str, Resource]:
        """The resources of one type."""
        return {CLUSTER: self.clusters, ENDPOINTS: self.endpoints, LISTENER: self.listeners, ROUTES: self.routes}[
            type_url
        ]


def typed(message: str, fields: Resource | None = None) -> Resource:
    """What stands in an `Any`: `message` is the full name, like "envoy.config.cluster.v3.Cluster"."""
    return {"@type": TYPE_PREFIX + message, **(fields or {})}
