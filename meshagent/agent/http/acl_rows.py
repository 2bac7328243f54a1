"""What the endpoints of `/v1/acl/*` share: that ACLs must be on, bodies with links, rows by id.

Source: section 1.5 of the surface: with ACLs off every row answers 401. What may change here: what several of them
need.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from meshagent.agent.acl.guards import NameOf, Needs
from meshagent.agent.http.request import Request
from meshagent.agent.http.response import JSON, Response, encode_json
from meshagent.catalog.acl.model import NodeIdentity, Policy, Role, ServiceIdentity, TemplatedPolicy
from meshagent.catalog.acl.tables import AclTables
from meshagent.catalog.model import Row
from meshagent.errors import BadRequest, Denied, InternalError, MeshError
from meshagent.ids import is_uuid

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = [
    "AclDisabled",
    "GrantingBody",
    "LinkBody",
    "NodeIdentityBody",
    "ServiceIdentityBody",
    "TemplatedPolicyBody",
    "acl_needs",
    "done",
    "enabled",
    "identities_of",
    "missing",
    "not_found",
    "policy_ids",
    "require_uuid",
    "role_ids",
]

T = TypeVar("T")


def done() -> Response:
    """The answer of what has been done."""
    return Response(200, b"true", content_type=JSON)


class AclDisabled(MeshError):
    """ACLs are off on this agent."""

    http_status = 401

    def __init__(self) -> None:
        super().__init__("ACL support disabled")


def enabled(agent: Agent, request: Request) -> None:
    """The guard of what everybody may ask while ACLs are on. Raises AclDisabled."""
    if not agent.config.acl.enabled:
        raise AclDisabled


def acl_needs(access: str, of: NameOf | None = None) -> Callable[[Agent, Request], None]:
    """The guard of what needs `acl:read` or `acl:write`."""
    needed = Needs("acl", access, of)

    def guard(agent: Agent, request: Request) -> None:
        enabled(agent, request)
        needed(agent, request)

    return guard


# --- bodies -----------------------------------------------------------------------------------------------------------


class LinkBody(Row, frozen=True, kw_only=True):
    """A link to a policy or role, by either."""

    id: str = ""
    name: str = ""


class ServiceIdentityBody(ServiceIdentity, frozen=True, kw_only=True):
    """As it is sent."""

    go_name: ClassVar[str] = "ACLServiceIdentity"


class NodeIdentityBody(NodeIdentity, frozen=True, kw_only=True):
    """As it is sent."""

    go_name: ClassVar[str] = "ACLNodeIdentity"


class _Variables(Row, frozen=True, kw_only=True):
    name: str = ""


class TemplatedPolicyBody(Row, frozen=True, kw_only=True):
    """As it is sent."""

    go_name: ClassVar[str] = "ACLTemplatedPolicy"

    template_id: str = ""
    template_name: str = ""
    template_variables: _Variables | None = None
    datacenters: tuple[str, ...] | None = None


class GrantingBody(Row, frozen=True, kw_only=True):
    """What a role or a token grants, as it is sent; what is read back may be sent again."""

    go_name: ClassVar[str] = ""
    go_alias: ClassVar[bool] = True

    description: str = ""
    policies: tuple[LinkBody, ...] | None = None
    service_identities: tuple[ServiceIdentityBody, ...] | None = None
    node_identities: tuple[NodeIdentityBody, ...] | None = None
    templated_policies: tuple[TemplatedPolicyBody, ...] | None = None
    hash: str = ""
    create_index: int = 0
    modify_index: int = 0


def identities_of(body: GrantingBody) -> dict[str, Any]:
    """The identities of a body as rows, each once, in an order of their own."""
    services = {
        ServiceIdentity(service_name=one.service_name, datacenters=tuple(one.datacenters or ()))
        for one in body.service_identities or ()
    }
    nodes = {NodeIdentity(node_name=one.node_name, datacenter=one.datacenter) for one in body.node_identities or ()}
    templated = {
        TemplatedPolicy(
            template_name=one.template_name,
            name=one.template_variables.name if one.template_variables is not None else "",
            datacenters=tuple(one.datacenters or ()),
        )
        for one in body.templated_policies or ()
    }
    return {
        "service_identities": tuple(sorted(services, key=lambda one: (one.service_name, one.datacenters))),
        "node_identities": tuple(sorted(nodes, key=lambda one: (one.node_name, one.datacenter))),
        "templated_policies": tuple(sorted(templated, key=lambda one: (one.template_name, one.name, one.datacenters))),
    }


def policy_ids(tables: AclTables, links: tuple[LinkBody, ...] | None) -> tuple[str, ...]:
    """The ids of linked policies, each once. Raises InternalError: one does not exist."""
    return _ids(links, "policy", tables.policies, tables.policy_named)


def role_ids(tables: AclTables, links: tuple[LinkBody, ...] | None) -> tuple[str, ...]:
    """The same of roles."""
    return _ids(links, "role", tables.roles, tables.role_named)


def _ids(
    links: tuple[LinkBody, ...] | None,
    what: str,
    rows: dict[str, Any],
    named: Callable[[str], Policy | Role | None],
) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for link in links or ():
        if link.id:
            require_uuid(link.id, what, f'Error looking up {what} for ID: "{link.id}": ')
            row = rows.get(link.id)
            if row is None:
                raise InternalError(f"No such ACL {what} with ID {link.id}")
        else:
            row = named(link.name)
            if row is None:
                raise InternalError(f'No such ACL {what} with name "{link.name}"')
        found[row.id] = None
    return tuple(found)


# --- rows by id -------------------------------------------------------------------------------------------------------


def require_uuid(given: str, what: str, before: str = "") -> None:
    """Raises InternalError in upstream's words."""
    if not is_uuid(given):
        raise InternalError(f"{before}failed acl {what} lookup: index error: UUID must be 36 characters")


def missing(what: str) -> BadRequest:
    """Nothing stands behind the path."""
    return BadRequest(f"Missing {what}")


def not_found(what: str) -> Response:
    """The answer for a row that does not exist."""
    return Response(404, f"Requested {what} does not exist: ACL not found".encode(), bare=True)


def one_or_404(what: str, shape: Callable[[Any], Any]) -> Callable[[Any, Request], bytes | Response]:
    """How one row is encoded, or that there is none."""

    def encode(row: Any, request: Request) -> bytes | Response:
        return not_found(what) if row is None else encode_json(shape(row))

    return encode


def unknown_token() -> Denied:
    """No token has that accessor or secret."""
    return Denied("token does not exist: ACL not found")
