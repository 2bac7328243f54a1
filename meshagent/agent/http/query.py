"""`/v1/query`: prepared queries.

Not built yet: the rows are here so that methods, documentation and 501 answers are right.

Source: surface rows PQ1-PQ5; developer.hashicorp.com/consul/api-docs/query.
"""

from __future__ import annotations

from meshagent.agent.http.routes import Route

__all__ = ["ROUTES"]

ROUTES = (
    Route(
        row="PQ2",
        method="GET",
        path="/v1/query",
        acl="query:read",
        flags="C",
        summary="all prepared queries",
        tenancy="",
    ),
    Route(row="PQ1", method="POST", path="/v1/query", acl="query:write", summary="create a prepared query", tenancy=""),
    Route(
        row="PQ2",
        method="GET",
        path="/v1/query/",
        acl="query:read",
        flags="C",
        summary="one prepared query",
        tenancy="",
    ),
    Route(
        row="PQ2", method="PUT", path="/v1/query/", acl="query:write", summary="replace a prepared query", tenancy=""
    ),
    Route(
        row="PQ2", method="DELETE", path="/v1/query/", acl="query:write", summary="delete a prepared query", tenancy=""
    ),
    Route(
        row="PQ3",
        method="GET",
        path="/v1/query/",
        acl="of the query",
        flags="C Ks",
        summary="run a prepared query",
        tenancy="",
        suffix="/execute",
        effective=True,
    ),
    Route(
        row="PQ4",
        method="GET",
        path="/v1/query/",
        acl="query:read",
        flags="C",
        summary="show how a query would run",
        tenancy="",
        suffix="/explain",
        effective=True,
    ),
)
