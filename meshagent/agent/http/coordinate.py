"""`/v1/coordinate/*`: network coordinates of nodes.

Those of servers come from the WAN pool, where each ping brings one, those of nodes from the catalog, where agents write
theirs now and then (`agent/coordinate_batches.py`).

Source: surface rows CO1-CO3; developer.hashicorp.com/consul/api-docs/coordinate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from meshagent.agent.acl import visible
from meshagent.agent.acl.guards import named, needs
from meshagent.agent.coordinate_batches import CoordinateBatches
from meshagent.agent.decode import decode_body
from meshagent.agent.gossip.coordinates import DIMENSIONS, is_usable
from meshagent.agent.gossip.pools import Pools
from meshagent.agent.http.datacenters import require_local
from meshagent.agent.http.request import Request
from meshagent.agent.http.response import Response, encode_json, json_response
from meshagent.agent.http.routes import Route
from meshagent.agent.http.views import LiveResult
from meshagent.catalog import queries
from meshagent.catalog.model import Coordinate, CoordinateRow, Row
from meshagent.catalog.queries import Result
from meshagent.errors import InternalError, MeshError

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["ROUTES"]


class Disabled(MeshError):
    """Coordinates are off (`disable_coordinates`)."""

    http_status = 401

    def __init__(self) -> None:
        super().__init__("Coordinate support disabled")


class CoordBody(Row, frozen=True, kw_only=True):
    """A coordinate as it is sent."""

    go_name: ClassVar[str] = "Coordinate"

    vec: tuple[float, ...] = ()
    error: float = 0.0
    adjustment: float = 0.0
    height: float = 0.0


class UpdateBody(Row, frozen=True, kw_only=True):
    """The body of `coordinate/update`."""

    go_name: ClassVar[str] = "CoordinateUpdateRequest"

    datacenter: str = ""
    node: str = ""
    segment: str = ""
    coord: CoordBody | None = None


def _require_enabled(agent: Agent) -> None:
    if getattr(agent.config, "disable_coordinates", False):
        raise Disabled


async def _datacenters(agent: Agent, request: Request) -> Response:
    _require_enabled(agent)
    pools: Pools = agent.extras["members"]
    own = pools.local(wan=True)
    found: dict[str, list[CoordinateRow]] = {}
    if own is not None:
        known = {**pools.coordinates(wan=True), own.name: pools.coordinate(wan=True)}
        for member in pools.members(wan=True):
            datacenter = member.tags.get("dc", "")
            rows = found.setdefault(datacenter, [])
            if member.name in known:
                name = member.name.removesuffix(f".{datacenter}")  # the pool's names end so, nodes' do not
                rows.append(CoordinateRow(node=name, coord=known[member.name]))
    return json_response(
        [{"Datacenter": name, "AreaID": "wan", "Coordinates": rows} for name, rows in sorted(found.items())]
    )


def _in_segment(request: Request, rows: list[CoordinateRow]) -> list[CoordinateRow]:
    segment = request.query.get("segment")
    return rows if segment is None else [row for row in rows if row.segment == segment]


def _nodes(agent: Agent, request: Request) -> Result[Any]:
    _require_enabled(agent)
    result = queries.coordinate_nodes(agent.store)
    return Result(_in_segment(request, result.rows), result.index, result.topics)


def _node(agent: Agent, request: Request) -> Result[Any]:
    _require_enabled(agent)
    store = agent.store
    result = queries.coordinate_node(store, request.name)
    rows = _in_segment(request, result.rows)
    return LiveResult(rows, result.index, result.topics, lambda: store.coordinates.index)


def _encode_node(rows: list[CoordinateRow], _: Request) -> bytes | Response:
    if not rows:
        return Response(404, bare=True)
    return encode_json(rows)


async def _update(agent: Agent, request: Request) -> Response:
    _require_enabled(agent)
    body = decode_body(UpdateBody, request.body)
    require_local(agent, request)
    request.access.require("node", "write", body.node)
    coord = body.coord or CoordBody()
    if len(coord.vec) != DIMENSIONS:
        raise InternalError("incompatible coordinate")
    value = Coordinate(vec=coord.vec, error=coord.error, adjustment=coord.adjustment, height=coord.height)
    if not is_usable(value):
        raise InternalError("rejected bad coordinate")
    batches: CoordinateBatches = agent.extras["coordinates"]
    batches.add(CoordinateRow(node=body.node, segment=body.segment, coord=value))
    return Response(200)


ROUTES = (
    Route(
        row="CO1", method="GET", path="/v1/coordinate/datacenters", handle=_datacenters, tenancy="partition",
        summary="coordinates of the servers of each datacenter",
        example="curl localhost:8500/v1/coordinate/datacenters",
    ),
    Route(
        row="CO2", method="GET", path="/v1/coordinate/nodes",
        visible=visible.coordinates, meta_on_error=True,
        acl="node:read", flags="B C", tenancy="partition",
        read=_nodes, summary="coordinates of all nodes", example="curl localhost:8500/v1/coordinate/nodes",
    ),
    Route(
        row="CO2", method="GET", path="/v1/coordinate/node/",
        guard=needs("node", "read", named), meta_on_error=True,
        acl="node:read", flags="B C", tenancy="partition",
        read=_node, encode=_encode_node, summary="coordinates of a node",
        example="curl localhost:8500/v1/coordinate/node/host-1",
    ),
    Route(
        row="CO3", method="PUT", path="/v1/coordinate/update",
        asks=True,
        acl="node:write", handle=_update, tenancy="partition",
        summary="set the coordinate of a node (written in batches)",
        example="curl -X PUT -d @coordinate.json localhost:8500/v1/coordinate/update",
    ),
)  # fmt: skip
