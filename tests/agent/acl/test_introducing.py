"""What a client is given with its configuration."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from meshtest.inprocess import InProcess, guarded_config

from meshagent.agent.acl.introducing import options_of


@pytest.fixture
async def world() -> AsyncIterator[InProcess]:
    running = InProcess(config=guarded_config())
    await running.start()
    yield running
    await running.stop()


async def test_a_client_is_given_one_token_for_its_node_and_nothing_else(world: InProcess) -> None:
    block = (await options_of(world.agent, "c1"))["acl"]
    assert block["enabled"] and block["default_policy"] == "deny"
    secret = block["tokens"]["agent"]
    node = {"Node": "c1", "Address": "10.0.0.1"}
    own = {"X-Consul-Token": secret}
    assert (await world.ask("PUT", "/v1/catalog/register", node, headers=own)).status == 200
    other = await world.ask("PUT", "/v1/catalog/register", {**node, "Node": "c2"}, headers=own)
    assert other.status == 403
    assert (await options_of(world.agent, "c1"))["acl"]["tokens"]["agent"] == secret
    assert (await options_of(world.agent, "c2"))["acl"]["tokens"]["agent"] != secret


async def test_a_token_that_may_more_is_not_given_away(world: InProcess) -> None:
    first = (await options_of(world.agent, "c1"))["acl"]["tokens"]["agent"]
    row = world.agent.store.acl.by_secret(first)
    assert row is not None
    await world.put(
        f"/v1/acl/token/{row.accessor_id}",
        {"Description": row.description, "Local": True, "Policies": [{"Name": "global-management"}],
         "NodeIdentities": [{"NodeName": "c1", "Datacenter": "dc1"}]},
    )  # fmt: skip
    assert (await options_of(world.agent, "c1"))["acl"]["tokens"]["agent"] != first
