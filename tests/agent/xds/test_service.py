"""What the service is beside its streams (X4)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from meshtest.inprocess import InProcess, server_config
from meshtest.xdsclient import DELTA, XdsClient, XdsWorld

from meshagent.agent.grpc.connection import Finished
from meshagent.connect.envoy.resources import CLUSTER


@pytest.fixture
async def world() -> AsyncIterator[XdsWorld]:
    made = XdsWorld(InProcess(config=server_config()))
    await made.start()
    yield made
    await made.stop()


async def test_the_state_of_the_world_protocol_is_not_there(world: XdsWorld) -> None:
    client = XdsClient(world)
    channel = client.call._channel
    call = channel.call(DELTA.replace("Delta", "Stream"), "server")
    call.send(b"")
    ended = await call.next()
    assert isinstance(ended, Finished)
    assert ended.code == 12


async def test_without_the_mesh_it_is_said(world: XdsWorld) -> None:
    mesh = world.agent.extras.pop("mesh")
    client = XdsClient(world)
    client.begin()
    ended = await client.hear()
    assert ended is not None
    assert (ended.code, ended.text) == (9, "Connect must be enabled in order to use this endpoint")
    world.agent.extras["mesh"] = mesh


async def test_updates_have_a_pace_over_all_streams() -> None:
    config = server_config()
    world = XdsWorld(InProcess(config=config.replace(xds=config.xds.replace(update_max_per_second=0.5))))
    await world.start()
    for name in ("web", "api", "db"):
        await world.register(name)
    clients = [XdsClient(world, f"{name}-sidecar-proxy") for name in ("web", "api", "db")]
    for client in clients:
        client.begin()

    async def served() -> int:
        for client in clients:
            await client.hear()
        return sum(CLUSTER in client.held for client in clients)

    assert await served() == 1
    await world.inside.clock.advance(2)
    assert await served() == 2
    await world.inside.clock.advance(2)
    assert await served() == 3
    await world.stop()
