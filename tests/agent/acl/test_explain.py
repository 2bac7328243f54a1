"""Explanations: what a request asks, which rule decides, and that nothing is done."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from meshtest.inprocess import InProcess, guarded_config

from meshagent.agent.http.routes import load_routes


@pytest.fixture
async def world() -> AsyncIterator[InProcess]:
    running = InProcess(config=guarded_config())
    await running.start()
    yield running
    await running.stop()


async def explained(world: InProcess, accessor: str, method: str, path: str, body: str = "") -> Any:
    asked = {"Accessor": accessor, "Method": method, "Path": path, "Body": body}
    answer = await world.ask("POST", "/v1/acl/explain", asked)
    assert answer.status == 200, answer.text
    return answer.json


async def test_the_rule_and_its_policy_are_named(world: InProcess) -> None:
    accessor, _ = await world.token('key_prefix "a/" { policy = "write" } key "a/x" { policy = "read" }')
    policy = world.store.acl.policies[world.store.acl.tokens[accessor].policies[0]].name
    found = await explained(world, accessor, "PUT", "/v1/kv/a/b")
    assert found["Allowed"] is True
    assert found["Decisions"] == [
        {"Resource": "key", "Access": "write", "Name": "a/b", "Allowed": True,
         "Reason": 'key_prefix "a/" is write', "Policies": [policy]}
    ]  # fmt: skip
    found = await explained(world, accessor, "PUT", "/v1/kv/a/x")
    assert found["Allowed"] is False and found["Decisions"][0]["Reason"] == 'key "a/x" is read'
    found = await explained(world, accessor, "GET", "/v1/operator/raft/configuration")
    assert found["Decisions"][0]["Reason"] == "no rule speaks of it; the default is deny"
    found = await explained(world, accessor, "GET", "/v1/status/leader")
    assert found["Allowed"] and found["Note"] == "it needs no token"
    found = await explained(world, accessor, "GET", "/v1/catalog/nodes")
    assert found["Allowed"] and "left out" in found["Note"]


async def test_bodies_count_and_nothing_is_done(world: InProcess) -> None:
    accessor, _ = await world.token('service "web" { policy = "write" }')
    before = world.store.index
    found = await explained(world, accessor, "PUT", "/v1/agent/service/register", '{"Name": "web"}')
    assert found["Allowed"] and found["Decisions"][0]["Name"] == "web"
    found = await explained(world, accessor, "PUT", "/v1/catalog/register", '{"Node": "z", "Address": "1.1.1.1"}')
    assert not found["Allowed"] and found["Decisions"][0]["Name"] == "z"
    found = await explained(world, accessor, "PUT", "/v1/agent/service/register", "{")
    assert "whatever the token" in found["Note"]
    assert world.store.index == before and world.local.services == {}


async def test_no_endpoint_acts_when_it_is_explained_to_who_may_everything(world: InProcess) -> None:
    manager = next(row.accessor_id for row in world.store.acl.tokens.values() if row.policies)
    digest, services = world.store.digest(), dict(world.local.services)
    for route in load_routes():
        if route.built:
            path = route.path + ("x" if route.path.endswith("/") else "") + route.suffix
            await explained(world, manager, route.method, path, '{"Name": "x", "Node": "x", "Address": "1.1.1.1"}')
    assert world.store.digest() == digest
    assert world.local.services == services and not world.left and not world.reloads


async def test_what_cannot_be_explained(world: InProcess) -> None:
    for method, path, status in (("GET", "/v1/zork", 404), ("PATCH", "/v1/kv/a", 400), ("GET", "/v1/kv/%zz", 400)):
        asked = {"Accessor": "self", "Method": method, "Path": path}
        assert (await world.ask("POST", "/v1/acl/explain", asked)).status == status
    asked = {"Accessor": "11111111-2222-3333-4444-555555555555", "Method": "GET", "Path": "/v1/kv/a"}
    assert (await world.ask("POST", "/v1/acl/explain", asked)).status == 403
