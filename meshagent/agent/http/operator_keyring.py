"""`/v1/operator/keyring`: the gossip keys of the pools of this server.

Each request is a query to all members of the WAN pool, then one to those of the LAN pool; a failure names each member
that refused.

Source: surface row OP7; developer.hashicorp.com/consul/api-docs/operator/keyring. What may change here: tokens, once
there are ACLs; rings of other datacenters.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

from meshagent.agent.acl.guards import needs
from meshagent.agent.decode import decode_body
from meshagent.agent.definitions import multierror
from meshagent.agent.go_base64 import decode_base64
from meshagent.agent.gossip.key_queries import INSTALL, LIST, REMOVE, USE, KeyReport
from meshagent.agent.gossip.pools import Pools
from meshagent.agent.http.request import Request, parse_bool
from meshagent.agent.http.response import Response, json_response
from meshagent.agent.http.routes import Route
from meshagent.catalog.model import Row
from meshagent.errors import BadRequest, InternalError, MeshError

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["ROUTES"]

_MAX_RELAY_FACTOR = 5
_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)


class KeyBody(Row, frozen=True, kw_only=True):
    """The body of everything but a list."""

    go_name: ClassVar[str] = "KeyringRequest"

    key: str = ""


def _relay_factor(request: Request) -> int:
    text = request.query.get("relay-factor") or ""
    if not text:
        return 0
    if not _INTEGER.fullmatch(text):
        raise BadRequest(f'Error parsing relay factor: strconv.Atoi: parsing "{text}": invalid syntax')
    factor = int(text) if len(text) < 20 else _MAX_RELAY_FACTOR + 1
    if not 0 <= factor <= _MAX_RELAY_FACTOR:
        raise BadRequest(f"Invalid relay-factor: Relay factor must be in range: [0, {_MAX_RELAY_FACTOR}]")
    return factor


def _local_only(request: Request) -> bool:
    text = request.query.get("local-only") or ""
    if not text:
        return False
    try:
        local_only = parse_bool(text)
    except ValueError:
        raise BadRequest(f'Error parsing local-only: strconv.ParseBool: parsing "{text}": invalid syntax') from None
    if local_only and request.method != "GET":
        raise BadRequest("Invalid use of local-only: local-only can only be set for list requests")
    return local_only


async def _all_pools(
    agent: Agent, name: str, key: str, relay_factor: int, *, local_only: bool = False
) -> list[tuple[bool, KeyReport]]:
    """(wan, report) of each pool. Raises InternalError: somebody refused."""
    pools: Pools = agent.extras["members"]
    reports = []
    problems = []
    for wan in (False,) if local_only else (True, False):
        pool = pools.pool(wan=wan)
        if pool is None:
            continue
        shown = "WAN error" if wan else f"{agent.datacenter} (LAN) error"
        try:
            told = await pool.key_query(name, decode_base64(key), relay_factor=relay_factor)
        except (ValueError, MeshError) as error:
            problems.append(f"{shown}: {error}")
            continue
        reports.append((wan, told))
        if told.problem is not None:
            problems.append(f"{shown}: {told.problem}")
            problems += [f"{member}: {message}" for member, message in sorted(told.messages.items())]
    if problems:
        raise InternalError(multierror(problems))
    return reports


async def _list(agent: Agent, request: Request) -> Response:
    local_only, relay_factor = _local_only(request), _relay_factor(request)
    rings = []
    for wan, told in await _all_pools(agent, LIST, "", relay_factor, local_only=local_only):
        ring: dict[str, Any] = {"WAN": wan, "Datacenter": agent.datacenter, "Segment": ""}
        if told.messages:
            ring["Messages"] = told.messages
        ring |= {"Keys": dict(told.keys), "PrimaryKeys": dict(told.primary_keys), "NumNodes": told.nodes}
        rings.append(ring)
    return json_response(rings)


async def _change(agent: Agent, request: Request) -> Response:
    relay_factor = _relay_factor(request)
    _local_only(request)
    body = decode_body(KeyBody, request.body)
    name = {"POST": INSTALL, "PUT": USE, "DELETE": REMOVE}[request.method]
    await _all_pools(agent, name, body.key, relay_factor)
    return Response()


ROUTES = (
    Route(
        row="OP7", method="GET", path="/v1/operator/keyring", acl="keyring:read",
        guard=needs("keyring", "read"), handle=_list, tenancy="",
        summary="gossip keys of each pool", example="curl localhost:8500/v1/operator/keyring?relay-factor=2",
    ),
    Route(
        row="OP7", method="POST", path="/v1/operator/keyring", acl="keyring:write",
        guard=needs("keyring", "write"), handle=_change, tenancy="",
        summary="install a gossip key", example="curl -d @key.json localhost:8500/v1/operator/keyring",
    ),
    Route(
        row="OP7", method="PUT", path="/v1/operator/keyring", acl="keyring:write",
        guard=needs("keyring", "write"), handle=_change, tenancy="",
        summary="use a gossip key as the primary one",
        example="curl -X PUT -d @key.json localhost:8500/v1/operator/keyring",
    ),
    Route(
        row="OP7", method="DELETE", path="/v1/operator/keyring", acl="keyring:write",
        guard=needs("keyring", "write"), handle=_change, tenancy="",
        summary="remove a gossip key", example="curl -X DELETE -d @key.json localhost:8500/v1/operator/keyring",
    ),
)  # fmt: skip
