"""`/v1/event`: user events.

Not built yet: the rows are here so that methods, documentation and 501 answers are right.

Source: surface rows EV1, EV2; developer.hashicorp.com/consul/api-docs/event.
"""

from __future__ import annotations

from meshagent.agent.http.routes import Route

__all__ = ["ROUTES"]

ROUTES = (
    Route(row="EV1", method="PUT", path="/v1/event/fire/", acl="event:write", summary="fire a user event", tenancy=""),
    Route(
        row="EV2",
        method="GET",
        path="/v1/event/list",
        acl="event:read",
        flags="B",
        summary="the last 256 user events",
        tenancy="",
    ),
)
