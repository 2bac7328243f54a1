"""`/v1/coordinate/*`: network coordinates of nodes.

Updates are gathered and written together, as Consul does: at most 128 in a batch, five batches in five seconds; the
newest of a node counts.

Source: surface rows CO1-CO3; developer.hashicorp.com/consul/api-docs/coordinate.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

from meshagent.agent.decode import decode_body
from meshagent.agent.http.datacenters import require_local
from meshagent.agent.http.request import Request
from meshagent.agent.http.response import Response, encode_json, json_response
from meshagent.agent.http.routes import Route
from meshagent.agent.http.views import LiveResult
from meshagent.catalog import commands, queries
from meshagent.catalog.model import Coordinate, CoordinateRow, Row
from meshagent.catalog.queries import Result
from meshagent.errors import InternalError, MeshError, NotFound

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["ROUTES"]

#: Consul's `coordinate_update_batch_size` and `..._max_batches` in each `..._period`.
BATCH_SIZE = 128
MAX_BATCHES = 5
PERIOD_S = 5.0
DIMENSIONS = 8


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
    server = CoordinateRow(node=f"{agent.node_name}.{agent.datacenter}")
    return json_response([{"Datacenter": agent.datacenter, "AreaID": "wan", "Coordinates": [server]}])


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


def _encode_node(rows: list[CoordinateRow], _: Request) -> bytes:
    if not rows:
        raise NotFound("")
    return encode_json(rows)


class _Batcher:
    """Gathers updates and writes them once a period."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._waiting: dict[tuple[str, str], CoordinateRow] = {}
        self._running = False

    def add(self, row: CoordinateRow) -> None:
        """Take an update; it is written within a period."""
        if len(self._waiting) >= BATCH_SIZE * MAX_BATCHES and (row.node.lower(), row.segment) not in self._waiting:
            return
        self._waiting[row.node.lower(), row.segment] = row
        if not self._running:
            self._running = True
            self._agent.tasks.start(self._flush(), name="coordinate batches")

    async def _flush(self) -> None:
        try:
            await self._agent.clock.sleep(PERIOD_S)
        finally:
            self._running = False
            rows, self._waiting = list(self._waiting.values()), {}
        for start in range(0, len(rows), BATCH_SIZE):
            await self._agent.write(commands.CoordinateBatch(tuple(rows[start : start + BATCH_SIZE])))


async def _update(agent: Agent, request: Request) -> Response:
    _require_enabled(agent)
    body = decode_body(UpdateBody, request.body)
    require_local(agent, request)
    coord = body.coord or CoordBody()
    numbers = (*coord.vec, coord.error, coord.adjustment, coord.height)
    if len(coord.vec) != DIMENSIONS:
        raise InternalError("incompatible coordinate")
    if not all(math.isfinite(number) for number in numbers):
        raise InternalError("rejected bad coordinate")
    batcher = agent.extras.get("coordinates")
    if batcher is None:
        batcher = agent.extras["coordinates"] = _Batcher(agent)
    value = Coordinate(vec=coord.vec, error=coord.error, adjustment=coord.adjustment, height=coord.height)
    batcher.add(CoordinateRow(node=body.node, segment=body.segment, coord=value))
    return Response(200)


ROUTES = (
    Route(
        row="CO1", method="GET", path="/v1/coordinate/datacenters", handle=_datacenters, tenancy="partition",
        summary="coordinates of the servers of each datacenter",
        example="curl localhost:8500/v1/coordinate/datacenters",
    ),
    Route(
        row="CO2", method="GET", path="/v1/coordinate/nodes", acl="node:read", flags="B C", tenancy="partition",
        read=_nodes, summary="coordinates of all nodes", example="curl localhost:8500/v1/coordinate/nodes",
    ),
    Route(
        row="CO2", method="GET", path="/v1/coordinate/node/", acl="node:read", flags="B C", tenancy="partition",
        read=_node, encode=_encode_node, summary="coordinates of a node",
        example="curl localhost:8500/v1/coordinate/node/host-1",
    ),
    Route(
        row="CO3", method="PUT", path="/v1/coordinate/update", acl="node:write", handle=_update, tenancy="partition",
        summary="set the coordinate of a node (written in batches)",
        example="curl -X PUT -d @coordinate.json localhost:8500/v1/coordinate/update",
    ),
)  # fmt: skip
