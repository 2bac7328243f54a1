"""`/v1/snapshot`: snapshots of the whole state.

Not built yet: the rows are here so that methods, documentation and 501 answers are right.

Source: surface rows SN1, SN2; developer.hashicorp.com/consul/api-docs/snapshot.
"""

from __future__ import annotations

from meshagent.agent.http.routes import Route

__all__ = ["ROUTES"]

ROUTES = (
    Route(row="SN1", method="GET", path="/v1/snapshot", acl="acl:write", flags="C", summary="a snapshot archive"),
    Route(row="SN2", method="PUT", path="/v1/snapshot", acl="acl:write", summary="replace the state by a snapshot"),
)
