"""`/v1/txn`: transactions.

Not built yet: the rows are here so that methods, documentation and 501 answers are right.

Source: surface rows TX1-TX3; developer.hashicorp.com/consul/api-docs/txn.
"""

from __future__ import annotations

from meshagent.agent.http.routes import Route

__all__ = ["ROUTES"]

ROUTES = (
    Route(
        row="TX1",
        method="PUT",
        path="/v1/txn",
        acl="per operation",
        flags="C",
        summary="up to 128 operations, all or nothing",
        tenancy="",
        body_limit="txn",
    ),
)
