"""`/v1/peering` and `/v1/peerings`: cluster peering.

Source: surface rows PE1-PE3; developer.hashicorp.com/consul/api-docs/peering. A read shows what the catalog says; the
leader's shows its streams, too. What may change here: nothing that a client of Consul reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from meshagent.agent.acl.guards import needs
from meshagent.agent.decode import decode_body
from meshagent.agent.http.request import Request
from meshagent.agent.http.response import Response, encode_json, json_response
from meshagent.agent.http.routes import Route
from meshagent.agent.peering.status import shown
from meshagent.catalog.model import Row
from meshagent.catalog.queries import Result
from meshagent.errors import BadRequest, InternalError, NotFound

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.catalog.peering.model import Peering

__all__ = ["ROUTES"]

_PREFIX = "Body decoding failed: "


class TokenBody(Row, frozen=True, kw_only=True):
    """The body of `peering/token`."""

    go_name: ClassVar[str] = "PeeringGenerateTokenRequest"

    peer_name: str = ""
    partition: str = ""
    meta: dict[str, str] | None = None
    server_external_addresses: tuple[str, ...] | None = None


class EstablishBody(Row, frozen=True, kw_only=True):
    """The body of `peering/establish`."""

    go_name: ClassVar[str] = "PeeringEstablishRequest"

    peer_name: str = ""
    peering_token: str = ""
    partition: str = ""
    meta: dict[str, str] | None = None


def _enabled(agent: Agent) -> None:
    if not agent.config.peering.enabled:
        raise InternalError("peering must be enabled to use this endpoint")


async def _token(agent: Agent, request: Request) -> Response:
    _enabled(agent)
    body = decode_body(TokenBody, request.body, prefix=_PREFIX)
    if not body.peer_name:
        raise BadRequest("PeerName is required in the payload when generating a new peering token.")
    from meshagent.agent.peering.operations import generate_token  # on servers only, and seldom

    made = await generate_token(agent, body.peer_name, body.meta, body.server_external_addresses or ())
    return json_response({"PeeringToken": made})


async def _establish(agent: Agent, request: Request) -> Response:
    _enabled(agent)
    body = decode_body(EstablishBody, request.body, prefix=_PREFIX)
    if not body.peer_name:
        raise BadRequest("PeerName is required in the payload when establishing a peering.")
    if not body.peering_token:
        raise BadRequest("PeeringToken is required in the payload when establishing a peering.")
    from meshagent.agent.peering.operations import establish

    await establish(agent, body.peer_name, body.peering_token, body.meta)
    return json_response({})


def _one(agent: Agent, request: Request) -> Result[Any]:
    _enabled(agent)
    if not request.name:
        raise BadRequest("Must specify a name to fetch.")
    row = agent.store.peerings.rows.get(request.name)
    if row is None:
        raise NotFound(f'Peering not found for "{request.name}"')
    return Result((row, agent), row.modify_index, (("peering", request.name),))


def _encode_one(rows: tuple[Peering, Agent], request: Request) -> bytes:
    row, agent = rows
    return encode_json(shown(row, agent.extras.get("peering_status"), agent.store))


async def _delete(agent: Agent, request: Request) -> Response:
    _enabled(agent)
    if not request.name:
        raise BadRequest("Must specify a name to delete.")
    from meshagent.agent.peering.operations import delete_peering

    await delete_peering(agent, request.name)
    return Response(200)


def _list(agent: Agent, request: Request) -> Result[Any]:
    _enabled(agent)
    table = agent.store.peerings
    return Result(([table.rows[name] for name in sorted(table.rows)], agent), table.index or 1, ("peerings",))


def _encode_list(rows: tuple[list[Peering], Agent], request: Request) -> bytes:
    statuses, store = rows[1].extras.get("peering_status"), rows[1].store
    return encode_json([shown(row, statuses, store) for row in rows[0]])


ROUTES = (
    Route(
        row="PE1", method="POST", path="/v1/peering/token", acl="peering:write",
        guard=needs("peering", "write"), tenancy="partition", handle=_token,
        summary="make a token by which another cluster peers with this one",
        example='curl -X POST -d \'{"PeerName":"east"}\' localhost:8500/v1/peering/token',
    ),
    Route(
        row="PE2", method="POST", path="/v1/peering/establish", acl="peering:write",
        guard=needs("peering", "write"), tenancy="partition", handle=_establish,
        summary="peer with the cluster that made a token",
        example='curl -X POST -d \'{"PeerName":"west","PeeringToken":"eyJDQSI6..."}\' '
        "localhost:8500/v1/peering/establish",
    ),
    Route(
        row="PE3", method="GET", path="/v1/peering/", acl="peering:read", flags="B",
        guard=needs("peering", "read"), tenancy="partition", volatile=True, read=_one, encode=_encode_one,
        summary="one peering", example="curl localhost:8500/v1/peering/east",
    ),
    Route(
        row="PE3", method="DELETE", path="/v1/peering/", acl="peering:write",
        guard=needs("peering", "write"), tenancy="partition", handle=_delete,
        summary="delete a peering, here and on the other side",
        example="curl -X DELETE localhost:8500/v1/peering/east",
    ),
    Route(
        row="PE3", method="GET", path="/v1/peerings", acl="peering:read", flags="B",
        guard=needs("peering", "read"), tenancy="partition", volatile=True, read=_list, encode=_encode_list,
        summary="all peerings", example="curl localhost:8500/v1/peerings",
    ),
)  # fmt: skip
