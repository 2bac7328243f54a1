"""`/v1/config`: config entries.

Not built yet: the rows are here so that methods, documentation and 501 answers are right.

Source: surface rows CF1-CF4; developer.hashicorp.com/consul/api-docs/config.
"""

from __future__ import annotations

from meshagent.agent.http.routes import Route

__all__ = ["ROUTES"]

ROUTES = (
    Route(row="CF1", method="PUT", path="/v1/config", acl="of the kind", summary="write a config entry"),
    Route(
        row="CF2",
        method="GET",
        path="/v1/config/",
        acl="of the kind",
        flags="B C F",
        summary="the entries of a kind, or one entry",
    ),
    Route(row="CF4", method="DELETE", path="/v1/config/", acl="of the kind", summary="delete a config entry"),
)
