"""Central configuration reaches the registrations of a client agent, and is not followed before it is needed."""

from __future__ import annotations

import json
from typing import Any

from meshtest.clientworld import ClientAgent, ClientWorld, until

from meshagent.agent.central import CentralConfig
from meshagent.agent.decode import decode_body
from meshagent.agent.definitions import ServiceDefinition
from meshagent.agent.mesh_replica import KINDS, MeshReplica
from meshagent.catalog import commands
from meshagent.catalog.entries.table import parse
from meshagent.clock import VirtualClock


def define(**given: Any) -> ServiceDefinition:
    return decode_body(ServiceDefinition, json.dumps(given).encode(), snake_case=True)


def replica(client: ClientAgent) -> None:
    MeshReplica(client.client.rows, client.client.store, VirtualClock()).attach(client.local)


async def mirrored(world: ClientWorld) -> ClientAgent:
    client = await world.client(world.server())
    replica(client)
    CentralConfig(client.local, client.client.store)
    return client


async def entry(world: ClientWorld, **given: Any) -> None:
    await world.write(commands.ConfigEntrySet(parse(given)))


async def test_a_sidecar_has_the_central_configuration_and_follows_it(world: ClientWorld) -> None:
    await entry(world, Kind="proxy-defaults", Name="global", Config={"a": 1})
    await entry(world, Kind="service-resolver", Name="web")
    client = await mirrored(world)
    client.local.add_service(define(Name="web", Port=80))
    assert len(client.client.rows) == 0  # nothing needs it yet
    proxy = {"DestinationServiceName": "web"}
    client.local.add_service(define(Name="side", Kind="connect-proxy", Port=81, Proxy=proxy))

    def config() -> dict[str, Any]:
        return client.local.services["side"].service.proxy.config or {}

    await until(lambda: config() == {"a": 1})
    await entry(world, Kind="service-defaults", Name="web", Protocol="http")
    await until(lambda: config() == {"a": 1, "protocol": "http"})
    assert {kind for kind, _ in client.client.store.config.entries} <= set(KINDS)
    await world.write(commands.ConfigEntryDelete("service-defaults", "web"))
    await until(lambda: config() == {"a": 1})
    pins = {key: held.pins for key, held in client.client.rows._entries.items()}
    assert set(pins.values()) == {1}


async def test_what_is_registered_already_counts(world: ClientWorld) -> None:
    await entry(world, Kind="proxy-defaults", Name="global", Config={"a": 1})
    client = await world.client(world.server())
    client.local.add_service(define(Name="gw", Kind="mesh-gateway", Port=81))
    replica(client)
    CentralConfig(client.local, client.client.store)
    await until(lambda: client.local.services["gw"].service.proxy.config == {"a": 1})
