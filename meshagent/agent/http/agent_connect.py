"""`/v1/agent/connect`: what a mesh-native application asks its agent.

Not built yet: the rows are here so that methods, documentation and 501 answers are right.

Source: surface rows A26-A28; developer.hashicorp.com/consul/api-docs/agent/connect.
"""

from __future__ import annotations

from meshagent.agent.http.routes import Route

__all__ = ["ROUTES"]

ROUTES = (
    Route(
        row="A26", method="POST", path="/v1/agent/connect/authorize", acl="service:write", flags="Kb",
        summary="whether an identity may call a service here",
    ),
    Route(
        row="A27", method="GET", path="/v1/agent/connect/ca/roots", flags="B Kb", tenancy="",
        summary="the roots that are trusted, from this agent's cache",
    ),
    Route(
        row="A28", method="GET", path="/v1/agent/connect/ca/leaf/", acl="service:write", flags="B Kb",
        summary="a certificate for a service here",
    ),
)  # fmt: skip
