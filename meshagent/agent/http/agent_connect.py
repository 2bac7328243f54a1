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
)  # fmt: skip
