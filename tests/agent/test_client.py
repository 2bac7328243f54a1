from __future__ import annotations

import asyncio
from typing import Any

import pytest
from meshtest.clientworld import ClientWorld, until
from meshtest.httpapi import instance
from meshtest.inprocess import server_config

from meshagent.agent import client as client_module
from meshagent.agent.gossip.member import Member
from meshagent.agent.rpc.limit import RpcRateExceeded
from meshagent.catalog import commands
from meshagent.errors import ConfigError, Unavailable


class FakePool:
    def __init__(self, *members: Member) -> None:
        self.known = list(members)
        self.observers: list[Any] = []

    def members(self) -> list[Member]:
        return self.known

    def observe(self, observer: Any) -> None:
        self.observers.append(observer)


async def test_servers_are_found_by_gossip(world: ClientWorld) -> None:
    client = await world.client()
    server = world.server(node_id="11111111-2222-3333-4444-555555555555")
    host, _, port = server.server.address.rpartition(":")
    tags = {"role": "consul", "dc": "dc1", "port": port, "id": "11111111-2222-3333-4444-555555555555"}
    pool = FakePool(Member(name="c1", addr="127.0.0.1", port=1))
    client.client.follow(pool)
    assert client.client.upstream.known_servers == 0
    pool.known.append(Member(name="s1", addr=host, port=2, tags=tags))
    for observer in pool.observers:
        observer(None)
    assert client.client.size == 2
    await until(lambda: client.client.upstream.connected)


async def test_a_reload_takes_limits_and_how_old_rows_may_be(world: ClientWorld) -> None:
    client = (await world.client(world.server())).client
    await until(lambda: client.upstream.connected)
    config = server_config(server=False)
    limits = config.limits.replace(rpc_rate=0.001, rpc_max_burst=1, rpc_client_timeout=7.0)
    dns = config.dns_config.replace(max_stale=9.0, cache_max_age=3.0)
    client.reload(config.replace(limits=limits, dns_config=dns))
    client.upstream.limit.take()
    with pytest.raises(RpcRateExceeded):
        client.upstream.limit.take()
    assert client.upstream.settings.client_timeout_s == 7.0
    assert client.rows.max_age_s == 9.0
    client.reload(config.replace(dns_config=dns.replace(use_cache=True)))
    assert client.rows.max_age_s == 3.0
    client.reload(config.replace(dns_config=dns.replace(allow_stale=False)))
    assert client.rows.max_age_s == 0.0


async def test_a_reload_with_certificates_that_cannot_be_used_changes_nothing(world: ClientWorld) -> None:
    client = (await world.client()).client
    before = client.security, client.upstream.settings
    config = server_config(server=False)
    rpc = config.tls.internal_rpc.replace(cert_file="/nowhere.pem", key_file="/nowhere.pem")
    with pytest.raises(ConfigError, match=r"tls\.internal_rpc: cert_file '/nowhere.pem'"):
        client.reload(config.replace(tls=config.tls.replace(internal_rpc=rpc)))
    assert (client.security, client.upstream.settings) == before


async def test_registrations_reach_the_catalog_and_go_again(world: ClientWorld) -> None:
    client = await world.client(world.server())
    client.sync.start()
    await until(lambda: client.local.node_in_sync)
    from meshagent.agent.decode import decode_body
    from meshagent.agent.definitions import ServiceDefinition

    def define(**given: Any) -> ServiceDefinition:
        import json

        return decode_body(ServiceDefinition, json.dumps(given).encode(), snake_case=True)

    registrations = world.agent.store.registrations
    client.local.add_service(define(Name="web", Port=80, Check={"TTL": "10s"}))
    await until(lambda: registrations.has("web"))
    (entry,) = registrations.entries("web")
    assert entry.node.name == "c1"
    assert entry.node.address == "127.0.0.9"
    assert len(entry.checks) == 1
    client.local.remove_service("web")
    await until(lambda: not registrations.has("web"))


async def test_what_the_agent_does_not_know_of_its_node_is_removed(world: ClientWorld) -> None:
    await world.write(instance("c1", "ghost"))
    await world.write(instance("other", "web"))
    client = await world.client(world.server())
    client.sync.start()
    await until(lambda: not world.agent.store.registrations.has("ghost"))
    assert world.agent.store.registrations.has("web")


async def test_a_deregistered_service_does_not_come_back_from_a_late_copy(world: ClientWorld) -> None:
    """The first server holds the registration back until the service is gone again."""
    slow, good = world.server("s1"), world.server("s2")
    client = await world.client(slow)
    await until(lambda: client.client.upstream.connected)
    held: list[tuple[Any, bytes]] = []
    register = slow.rpc.methods["register"]

    async def keep(peer: Any, payload: bytes) -> bytes:
        held.append((peer, payload))
        await asyncio.Event().wait()
        return b""

    slow.rpc.methods["register"] = keep
    writing = asyncio.ensure_future(client.agent.write(instance("c1", "web")))
    await until(lambda: held)
    client.client.set_servers([good.server])
    await slow.rpc.stop()
    await writing
    assert world.agent.store.registrations.has("web")
    await client.agent.write(commands.Deregister("c1", service_id="web0"))
    assert not world.agent.store.registrations.has("web")
    await register(*held[0])  # type: ignore[misc]
    assert not world.agent.store.registrations.has("web")


async def test_alias_checks_look_at_other_nodes(world: ClientWorld) -> None:
    await world.write(instance("n1", "web"))
    client = await world.client(world.server())
    source = client.client.alias_source(client.local)
    with pytest.raises(Unavailable, match="not come yet"):
        source("N1", "web0")
    changed: list[int] = []

    def follow() -> None:
        changed.append(1)
        following.append(client.client.follow_node("N1", follow))

    following = [client.client.follow_node("N1", follow)]
    await until(lambda: changed)
    health = source("N1", "web0")
    assert health.service_exists
    assert [check.status for check in health.checks] == ["passing"]
    await world.write(instance("n1", "web", status="critical"))
    await until(lambda: [check.status for check in source("N1", "web0").checks] == ["critical"])
    assert not source("N1", "db").service_exists
    assert source("", "") == source("c1", "")
    entry = client.client.rows._entries["node-rows", "n1"]
    assert entry.pins == 1
    following[-1].cancel()
    following[-1].cancel()
    assert entry.pins == 0


async def test_what_nobody_asks_for_is_let_go(world: ClientWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "IDLE_S", 0.0)
    monkeypatch.setattr(client_module, "STEP_S", 0.01)
    client = await world.client(world.server())
    for _ in range(2):
        await client.get("/v1/kv/?keys")
    await until(lambda: not client.client.upstream.holdings)
    assert (await client.get("/v1/kv/?keys")).status == 200
