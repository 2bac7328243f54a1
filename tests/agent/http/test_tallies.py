"""Requests under the names of RPCs (surface row G42)."""

from __future__ import annotations

import asyncio
from typing import Any

from meshtest.httpapi import Api, instance

from meshagent.agent.http.routes import load_routes
from meshagent.catalog import commands


def counted(api: Api) -> dict[tuple[str, ...], float]:
    """Sum by name without prefix and values of labels."""
    rows = api.agent.metrics.display(api.agent.clock.now())["Counters"]
    return {(row["Name"].removeprefix("consul."), *row["Labels"].values()): row["Sum"] for row in rows}


async def test_reads_and_writes_are_requests_and_reads_are_queries_on_every_way(api: Api) -> None:
    wire = await api.connect()
    for _ in range(3):
        await wire.ask("GET", "/v1/kv/?keys")
    assert api.hits == 2
    await api.put("/v1/kv/a", b"1")
    await api.put("/v1/kv/a?flags=1", b"1")
    await api.get("/v1/agent/version")
    found = counted(api)
    assert (found["rpc.request",], found["rpc.query",]) == (5, 3)
    assert counted(api) == found


async def test_look_ups_are_counted_by_service(api: Api) -> None:
    await api.write(instance("n1", "web"))
    wire = await api.connect()
    for _ in range(3):
        await wire.ask("GET", "/v1/catalog/service/web")
        await wire.ask("GET", "/v1/health/service/gone")
    await wire.ask("GET", "/v1/catalog/service/web?tag=b&tag=a")
    await wire.ask("GET", "/v1/catalog/nodes")
    found = {key: value for key, value in counted(api).items() if key[0].startswith(("catalog", "health"))}
    assert found == {
        ("catalog.service.query", "web"): 4,
        ("catalog.service.query-tags", "web", "a,b"): 1,
        ("catalog.service.not-found", "web"): 1,
        ("health.service.query", "gone"): 3,
        ("health.service.not-found", "gone"): 3,
    }


async def test_hits_before_a_service_came_found_nothing(api: Api) -> None:
    wire = await api.connect()
    for _ in range(3):
        await wire.ask("GET", "/v1/catalog/service/web")
    await api.write(instance("n1", "web"))
    for _ in range(5):
        await wire.ask("GET", "/v1/catalog/service/web")
    found = counted(api)
    assert found["catalog.service.query", "web"] == 8
    assert found["catalog.service.not-found", "web"] == 3


async def test_blocked_queries_are_a_level(api: Api) -> None:
    def blocked() -> Any:
        rows = api.agent.metrics.display(api.agent.clock.now())["Gauges"]
        return {row["Name"]: row["Value"] for row in rows}.get("consul.rpc.queries_blocking")

    assert blocked() is None
    index = (await api.get("/v1/kv/?keys")).index
    waiting = asyncio.ensure_future(api.get(f"/v1/kv/?keys&index={index}"))
    while blocked() != 1:
        await asyncio.sleep(0)
    await api.write(commands.KVSet("a", b"1"))
    await waiting
    assert blocked() == 0


def test_every_look_up_of_a_service_is_counted() -> None:
    found = {route.lookup for route in load_routes()} - {""}
    assert found == {"catalog.service", "catalog.connect", "health.service", "health.connect"}


async def test_requests_of_the_catalog_are_counted_on_every_way_by_what_became_of_them(api: Api) -> None:
    wire = await api.connect()
    for _ in range(4):
        await wire.ask("GET", "/v1/catalog/service/web")
    assert api.hits == 3
    await api.put("/v1/catalog/register", b'{"Node": "n1", "Address": "10.0.0.1"}')
    await api.put("/v1/catalog/register", b"nonsense")
    await api.get("/v1/catalog/service/")
    await api.get("/v1/kv/x")
    node = api.agent.node_name
    found = {key: value for key, value in counted(api).items() if key[0].startswith("client.")}
    assert found == {
        ("client.api.catalog_service_nodes", node): 5,
        ("client.api.success.catalog_service_nodes", node): 4,
        ("client.api.error.catalog_service_nodes", node): 1,
        ("client.api.catalog_register", node): 2,
        ("client.api.success.catalog_register", node): 1,
        ("client.api.error.catalog_register", node): 1,
    }
