"""`/v1/session`: sessions.

Not built yet: the rows are here so that methods, documentation and 501 answers are right.

Source: surface rows SE1-SE5; developer.hashicorp.com/consul/api-docs/session.
"""

from __future__ import annotations

from meshagent.agent.http.routes import Route

__all__ = ["ROUTES"]

ROUTES = (
    Route(row="SE1", method="PUT", path="/v1/session/create", acl="session:write", summary="create a session"),
    Route(row="SE2", method="PUT", path="/v1/session/destroy/", acl="session:write", summary="destroy a session"),
    Route(
        row="SE3", method="PUT", path="/v1/session/renew/", acl="session:write", summary="renew a session with a TTL"
    ),
    Route(row="SE4", method="GET", path="/v1/session/info/", acl="session:read", flags="B C", summary="one session"),
    Route(row="SE5", method="GET", path="/v1/session/list", acl="session:read", flags="B C", summary="all sessions"),
    Route(
        row="SE5",
        method="GET",
        path="/v1/session/node/",
        acl="session:read",
        flags="B C",
        summary="the sessions of a node",
    ),
)
