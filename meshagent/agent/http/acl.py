"""`/v1/acl/*`: access control.

It is not built yet, so it is off, and these endpoints say so as Consul does when it is off.

Source: surface rows AC1-AC16, section 1.5; developer.hashicorp.com/consul/api-docs/acl.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshagent.agent.http.request import Request
from meshagent.agent.http.response import Response
from meshagent.agent.http.routes import Route
from meshagent.errors import MeshError

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["ROUTES", "AclDisabled"]


class AclDisabled(MeshError):
    """ACLs are off on this agent."""

    http_status = 401

    def __init__(self) -> None:
        super().__init__("ACL support disabled")


async def _off(agent: Agent, request: Request) -> Response:
    raise AclDisabled


#: row, methods, path, what it is for
_ROWS = (
    ("AC1", "PUT", "/v1/acl/bootstrap", "make the first token"),
    ("AC2", "POST", "/v1/acl/login", "exchange a credential for a token"),
    ("AC3", "POST", "/v1/acl/logout", "destroy a login token"),
    ("AC4", "GET", "/v1/acl/replication", "state of ACL replication"),
    ("AC5", "GET", "/v1/acl/tokens", "all tokens"),
    ("AC6", "PUT", "/v1/acl/token", "create a token"),
    ("AC7", "GET", "/v1/acl/token/self", "the token of the request"),
    ("AC8", "GET,PUT,DELETE", "/v1/acl/token/", "one token by accessor; PUT .../clone copies it"),
    ("AC10", "GET", "/v1/acl/policies", "all policies"),
    ("AC11", "PUT", "/v1/acl/policy", "create a policy"),
    ("AC11", "GET,PUT,DELETE", "/v1/acl/policy/", "one policy by id"),
    ("AC11", "GET", "/v1/acl/policy/name/", "one policy by name"),
    ("AC12", "GET", "/v1/acl/roles", "all roles"),
    ("AC12", "PUT", "/v1/acl/role", "create a role"),
    ("AC12", "GET,PUT,DELETE", "/v1/acl/role/", "one role by id"),
    ("AC12", "GET", "/v1/acl/role/name/", "one role by name"),
    ("AC13", "GET", "/v1/acl/auth-methods", "all auth methods"),
    ("AC13", "PUT", "/v1/acl/auth-method", "create an auth method"),
    ("AC13", "GET,PUT,DELETE", "/v1/acl/auth-method/", "one auth method by name"),
    ("AC14", "GET", "/v1/acl/binding-rules", "all binding rules"),
    ("AC14", "PUT", "/v1/acl/binding-rule", "create a binding rule"),
    ("AC14", "GET,PUT,DELETE", "/v1/acl/binding-rule/", "one binding rule by id"),
    ("AC15", "GET", "/v1/acl/templated-policies", "all templated policies"),
    ("AC15", "GET", "/v1/acl/templated-policy/name/", "one templated policy"),
    ("AC15", "POST", "/v1/acl/templated-policy/preview/", "a templated policy with its variables filled in"),
    ("AC16", "POST", "/v1/internal/acl/authorize", "what the token of the request may do"),
)

ROUTES = tuple(
    Route(row=row, method=method, path=path, acl="acl:read or acl:write", tenancy="", handle=_off, summary=f"{what}")
    for row, methods, path, what in _ROWS
    for method in methods.split(",")
)
