"""What the service is beside its streams (X4)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from meshtest.inprocess import InProcess, server_config
from meshtest.xdsclient import DELTA, XdsClient, XdsWorld

from meshagent.agent.gossip.member import Member
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


async def test_one_that_says_its_node_is_found_in_the_catalog(world: XdsWorld) -> None:
    """As on Kubernetes, where no agent is beside the proxy (surface row P7): waited for, served, told of its end."""
    client = XdsClient(world, "web-1-proxy")
    client.metadata = {"node_name": "k8s-virtual", "namespace": "default", "partition": "default"}
    client.begin()
    await client.hear()
    assert client.held == {}
    sidecar = {"Service": "web-sidecar-proxy", "ID": "web-1-proxy", "Kind": "connect-proxy", "Port": 20000}
    proxy = {"DestinationServiceName": "web", "LocalServicePort": 80}
    where = {"Node": "k8s-virtual", "Address": "10.0.0.1"}
    await world.inside.put("/v1/catalog/register", {**where, "Service": {**sidecar, "Proxy": proxy}})
    await client.hear()
    assert set(client.held[CLUSTER]) == {"local_app"}
    upstreams = [{"DestinationName": "db", "LocalBindPort": 9191}]
    changed = {**sidecar, "Proxy": {**proxy, "Upstreams": upstreams}}
    await world.inside.put("/v1/catalog/register", {**where, "Service": changed})
    await world.inside.clock.advance(2)
    await client.hear()
    assert {name.partition(".")[0] for name in client.held[CLUSTER]} == {"local_app", "db"}
    await world.inside.put("/v1/catalog/deregister", {"Node": "k8s-virtual"})
    ended = await client.hear()
    assert ended is not None
    assert (ended.code, ended.text) == (5, "unknown proxy ID: web-1-proxy on node k8s-virtual")


SERVER = {"role": "consul", "dc": "dc1", "port": "8300", "raft_vsn": "3", "build": "1.20.1:abc"}


def servers(count: int) -> Any:
    """As many as gossip may know."""
    ids = [f"0000000{at}-1111-2222-3333-444444444444" for at in range(count)]
    members = [Member(name=one, addr="10.0.0.1", port=8301, tags={**SERVER, "id": one}) for one in ids]
    return SimpleNamespace(members=lambda: members)


async def agentless(world: XdsWorld, count: int) -> list[XdsClient]:
    """Proxies that are in the catalog alone, with their Envoys."""
    clients = []
    for at in range(count):
        proxy = {"Service": "web-sidecar-proxy", "ID": f"web-{at}", "Kind": "connect-proxy", "Port": 20000 + at}
        body = {"Node": "k8s", "Address": "10.0.0.1", "Service": {**proxy, "Proxy": {"DestinationServiceName": "web"}}}
        await world.inside.put("/v1/catalog/register", body)
        client = XdsClient(world, f"web-{at}")
        client.metadata = {"node_name": "k8s"}
        clients.append(client)
    return clients


async def test_streams_are_spread_over_the_servers(world: XdsWorld) -> None:
    clients = await agentless(world, 4)
    for client in clients[:3]:
        client.begin()
        assert await client.hear() is None
    world.agent.extras["members"] = servers(2)
    service = world.agent.extras["xds"]
    service._balance(world.agent.metrics)
    assert service.ideal == 3
    clients[3].begin()
    ended = await clients[3].hear()
    assert ended is not None
    assert (ended.code, ended.text) == (8, "this server has too many xDS streams open, please try another")
    assert len(service.streams) == 3
    world.agent.extras["members"] = servers(3)
    service._balance(world.agent.metrics)
    assert service.ideal == 2
    ends = [await client.hear() for client in clients[:3]]
    assert [ended.code for ended in ends if ended is not None] == [8], "one at a time"
    service._balance(world.agent.metrics)
    assert len(service.streams) == 2, "no more than too many"


@pytest.mark.parametrize("way", ["alone", "switched off"])
async def test_there_may_be_no_bound(world: XdsWorld, way: str) -> None:
    for client in await agentless(world, 3):
        client.begin()
        assert await client.hear() is None
    world.agent.extras["members"] = servers(1 if way == "alone" else 3)
    if way == "switched off":
        performance = world.agent.config.performance.replace(enable_xds_load_balancing=False)
        world.agent.config = world.agent.config.replace(performance=performance)
    service = world.agent.extras["xds"]
    service._balance(world.agent.metrics)
    assert service.ideal == 0
    assert len(service.streams) == 3


async def test_envoys_of_this_agent_are_not_sent_elsewhere(world: XdsWorld) -> None:
    await world.register("web")
    client = XdsClient(world)
    client.begin()
    await client.hear()
    world.agent.extras["members"] = servers(5)
    service = world.agent.extras["xds"]
    service._balance(world.agent.metrics)
    assert service.ideal == 1
    for _ in range(3):
        service._balance(world.agent.metrics)
    assert await client.hear() is None
