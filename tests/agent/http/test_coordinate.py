from __future__ import annotations

import json
from typing import Any

import pytest
from meshtest.httpapi import Api
from meshtest.inprocess import InProcess

from meshagent.catalog import commands
from meshagent.catalog.model import Node

COORD = {"Vec": [0.001, 0, 0, 0, 0, 0, 0, 0], "Error": 0.1, "Adjustment": 0.0, "Height": 1e-05}


async def flush(api: Api) -> None:
    await api.agent.clock.advance(5.1)  # type: ignore[attr-defined]


async def test_co2_co3_updates_are_written_together(api: Api) -> None:
    for name in ("a", "b"):
        await api.write(commands.Register(Node(name=name, address="1.1.1.1")))
    index = api.agent.store.index
    for name in ("a", "b", "A", "nope"):
        answer = await api.put("/v1/coordinate/update", {"Node": name, "Coord": COORD})
        assert (answer.status, answer.body) == (200, b"")
    assert api.agent.store.index == index
    await flush(api)
    assert api.agent.store.index == index + 1
    rows = (await api.get("/v1/coordinate/nodes")).json
    assert [row["Coord"]["Vec"][0] for row in rows] == [0.001, 0.001]
    assert (await api.get("/v1/coordinate/node/a")).json[0]["Coord"] == COORD
    assert (await api.get("/v1/coordinate/nodes?segment=zz")).json == []


async def test_co2_what_comes_to_be_has_the_headers_that_its_absence_lacked(api: Api) -> None:
    await api.write(commands.Register(Node(name="a", address="1.1.1.1")))
    missing = await api.get("/v1/coordinate/node/a")
    assert (missing.status, "x-consul-index" in missing.headers) == (404, False)
    await api.put("/v1/coordinate/update", {"Node": "a", "Coord": COORD})
    await flush(api)
    found = await api.get("/v1/coordinate/node/a")
    assert (found.status, found.headers["x-consul-index"]) == (200, str(api.agent.store.index))


async def test_co3_a_flood_is_bounded(api: Api) -> None:
    wire = await api.connect()
    for number in range(650):
        body = json.dumps({"Node": f"n{number}", "Coord": COORD}).encode()
        assert (await wire.ask("PUT", "/v1/coordinate/update", body)).status == 200
    index = api.agent.store.index
    await flush(api)
    assert api.agent.store.index == index + 5


async def test_co2_unknown_node(api: Api) -> None:
    for path in ("nope", ""):
        answer = await api.get(f"/v1/coordinate/node/{path}")
        assert (answer.status, answer.body) == (404, b"")
        assert "x-consul-index" not in answer.headers


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({"Node": "a", "Coord": {**COORD, "Vec": [0, 0]}}, 500, "incompatible coordinate"),
        ({"Node": "a", "Foo": 1}, 400, 'Request decode failed: json: unknown field "Foo"'),
    ],
)
async def test_co3_refusals(api: Api, body: Any, status: int, text: str) -> None:
    answer = await api.put("/v1/coordinate/update", body)
    assert (answer.status, answer.text) == (status, text)


async def test_co1_datacenters(live: InProcess) -> None:
    (row,) = await live.get("/v1/coordinate/datacenters")
    assert (row["Datacenter"], row["AreaID"]) == ("dc1", "wan")
    (server,) = row["Coordinates"]
    assert (server["Node"], len(server["Coord"]["Vec"]), server["Coord"]["Error"]) == ("n1", 8, 1.5)


async def test_co2_disabled(api: Api) -> None:
    api.agent.config.disable_coordinates = True
    for target in ("datacenters", "nodes", "node/a"):
        answer = await api.get(f"/v1/coordinate/{target}")
        assert (answer.status, answer.text) == (401, "Coordinate support disabled")
    assert (await api.put("/v1/coordinate/update", {})).status == 401
