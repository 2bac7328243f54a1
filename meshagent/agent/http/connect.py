"""`/v1/connect`: the certificate authority and intentions.

Not built yet: the rows are here so that methods, documentation and 501 answers are right.

Source: surface rows CN1-CN7, DC1; developer.hashicorp.com/consul/api-docs/connect.
"""

from __future__ import annotations

from meshagent.agent.http.routes import Route

__all__ = ["ROUTES"]

ROUTES = (
    Route(
        row="CN3",
        method="GET",
        path="/v1/connect/intentions",
        acl="intentions:read",
        flags="B C F",
        summary="all intentions by precedence",
    ),
    Route(
        row="CN5",
        method="POST",
        path="/v1/connect/intentions",
        acl="intentions:write",
        summary="create an intention (old form)",
    ),
    Route(
        row="CN4",
        method="GET",
        path="/v1/connect/intentions/exact",
        acl="intentions:read",
        flags="B C",
        summary="the intention of a source and a destination",
    ),
    Route(
        row="CN4",
        method="PUT",
        path="/v1/connect/intentions/exact",
        acl="intentions:write",
        summary="set the intention of a source and a destination",
    ),
    Route(row="CN4", method="DELETE", path="/v1/connect/intentions/exact", acl="intentions:write", summary="delete it"),
    Route(
        row="CN6",
        method="GET",
        path="/v1/connect/intentions/match",
        acl="intentions:read",
        flags="B C Kb",
        summary="the intentions that concern a service",
        effective=True,
    ),
    Route(
        row="CN7",
        method="GET",
        path="/v1/connect/intentions/check",
        acl="intentions:read",
        summary="whether a connection would be allowed",
    ),
    Route(
        row="CN5",
        method="GET",
        path="/v1/connect/intentions/",
        acl="intentions:read",
        flags="B C",
        summary="one intention by id (old form)",
    ),
    Route(
        row="CN5",
        method="PUT",
        path="/v1/connect/intentions/",
        acl="intentions:write",
        summary="replace an intention by id (old form)",
    ),
    Route(
        row="CN5",
        method="DELETE",
        path="/v1/connect/intentions/",
        acl="intentions:write",
        summary="delete an intention by id (old form)",
    ),
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
