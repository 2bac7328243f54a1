"""`/v1/internal`: what the web page reads.

Not built yet: the rows are here so that methods, documentation and 501 answers are right.

Source: surface rows IN1-IN5; developer.hashicorp.com/consul/api-docs/internal.
"""

from __future__ import annotations

from meshagent.agent.http.routes import Route

__all__ = ["ROUTES"]

ROUTES = (
    Route(
        row="IN1",
        method="GET",
        path="/v1/internal/ui/nodes",
        acl="node:read, service:read",
        flags="B C",
        summary="nodes with services and checks",
    ),
    Route(
        row="IN1",
        method="GET",
        path="/v1/internal/ui/node/",
        acl="node:read, service:read",
        flags="B C",
        summary="one node with services and checks",
    ),
    Route(
        row="IN2",
        method="GET",
        path="/v1/internal/ui/services",
        acl="node:read, service:read",
        flags="B C",
        summary="services with counts",
    ),
    Route(
        row="IN3",
        method="GET",
        path="/v1/internal/ui/catalog-overview",
        acl="operator:read",
        summary="counts by health",
    ),
    Route(
        row="IN4",
        method="GET",
        path="/v1/internal/ui/service-topology/",
        acl="service:read",
        flags="B",
        summary="upstreams and downstreams of a service",
    ),
    Route(
        row="IN5",
        method="GET",
        path="/v1/internal/ui/gateway-services-nodes/",
        acl="service:read",
        flags="B",
        summary="services behind a gateway",
    ),
    Route(
        row="IN5",
        method="GET",
        path="/v1/internal/ui/gateway-intentions/",
        acl="intentions:read",
        flags="B",
        summary="intentions behind a gateway",
    ),
    Route(
        row="IN5",
        method="GET",
        path="/v1/internal/ui/exported-services",
        acl="service:read",
        flags="B",
        summary="services exported to a peer",
    ),
    Route(row="IN5", method="GET", path="/v1/internal/ui/metrics-proxy/", summary="the metrics proxy of the web page"),
)
