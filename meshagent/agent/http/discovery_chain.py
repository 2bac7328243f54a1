"""`/v1/discovery-chain`: compiled discovery chains.

Not built yet: the rows are here so that methods, documentation and 501 answers are right.

Source: surface row DC1; developer.hashicorp.com/consul/api-docs/discovery-chain.
"""

from __future__ import annotations

from meshagent.agent.http.routes import Route

__all__ = ["ROUTES"]

ROUTES = (
    Route(
        row="DC1",
        method="GET",
        path="/v1/discovery-chain/",
        acl="service:read",
        flags="B C Kb",
        summary="the compiled discovery chain of a service",
        effective=True,
    ),
    Route(
        row="DC1",
        method="POST",
        path="/v1/discovery-chain/",
        acl="service:read",
        flags="B C Kb",
        summary="the same with overrides",
        effective=True,
    ),
)
