"""Who is served what, and how a stream ends; on virtual time, with an Envoy that is none."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from meshtest.inprocess import MANAGER, InProcess, guarded_config, server_config
from meshtest.xdsclient import XdsClient, XdsWorld

from meshagent.agent.xds.stream import LOOK_S, RECHECK_S
from meshagent.connect.envoy.resources import CLUSTER, LISTENER

OWN = 'service "web" { policy = "write" } service_prefix "" { policy = "read" } node_prefix "" { policy = "read" }'


@pytest.fixture
async def world() -> AsyncIterator[XdsWorld]:
    made = XdsWorld(InProcess())
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def guarded() -> AsyncIterator[XdsWorld]:
    made = XdsWorld(InProcess(config=guarded_config()))
    await made.start()
    yield made
    await made.stop()


def gauge(world: XdsWorld, name: str) -> float:
    rows = world.agent.metrics.display(world.inside.clock.now())["Gauges"]
    return next((row["Value"] for row in rows if row["Name"].endswith(name)), 0)


def counted(world: XdsWorld, name: str) -> int:
    return int(world.agent.metrics.counter(name, (("type", "Listener"),)).events)


async def test_an_envoy_is_told_what_its_proxy_works_from(world: XdsWorld) -> None:
    await world.register(Upstreams=[{"DestinationName": "db", "LocalBindPort": 9191}])
    client = XdsClient(world)
    client.begin()
    await world.inside.clock.advance(2)
    assert await client.hear() is None
    assert {name.partition(".")[0] for name in client.held[CLUSTER]} == {"local_app", "db"}
    await world.inside.clock.advance(2)  # it does not ask for endpoints
    await client.hear()
    assert {name.partition(":")[0] for name in client.held[LISTENER]} == {"public_listener", "db"}
    assert gauge(world, "xds.server.streams") == 1
    assert gauge(world, "xds.server.streamsUnauthenticated") == 0


async def test_a_change_arrives_and_what_is_the_same_does_not(world: XdsWorld) -> None:
    await world.register()
    client = XdsClient(world)
    client.begin()
    await client.hear()
    before = dict(client.held[CLUSTER])
    client.held[CLUSTER].clear()
    await world.register(Upstreams=[{"DestinationName": "db", "LocalBindPort": 9191}])
    await world.inside.clock.advance(2)
    await client.hear()
    assert [name.partition(".")[0] for name in client.held[CLUSTER]] == ["db"]
    assert "local_app" in before


async def test_one_that_is_not_registered_is_waited_for(world: XdsWorld) -> None:
    client = XdsClient(world)
    client.begin()
    await world.inside.clock.advance(10 * LOOK_S)
    assert await client.hear() is None
    assert client.held == {}
    (row,) = world.agent.extras["xds"].status()
    assert (row["ProxyID"], row["Authorized"]) == ("web-sidecar-proxy", False)
    assert gauge(world, "xds.server.streamsUnauthenticated") == 1
    await world.register()
    await client.hear()
    assert "local_app" in client.held[CLUSTER]


async def test_one_that_is_deregistered_is_told_no_more(world: XdsWorld) -> None:
    await world.register()
    client = XdsClient(world)
    client.begin()
    await client.hear()
    await world.inside.put("/v1/agent/service/deregister/web-sidecar-proxy")
    ended = await client.hear()
    assert ended is not None
    assert (ended.code, ended.text) == (5, "unknown proxy ID: web-sidecar-proxy")
    await world.inside.settle()
    assert world.agent.extras["xds"].status() == []
    assert gauge(world, "xds.server.streams") == 0


async def test_an_agent_that_stops_ends_its_streams(world: XdsWorld) -> None:
    await world.register()
    client = XdsClient(world)
    client.begin()
    await client.hear()
    world.inside.mesh.proxies.release()
    await world.inside.settle()
    await world.server.stop()
    ended = await client.hear()
    assert ended is not None
    assert (ended.code, ended.text) == (14, "the agent is shutting down")


@pytest.mark.parametrize(
    ("proxy", "version", "text"),
    [
        ("", "1.40.0", "the first request has no node with the id of a proxy"),
        ("web-sidecar-proxy", "1.20.0", "Envoy version 1.20.0 is not supported"),
    ],
)
async def test_who_cannot_be_served_is_told_why(world: XdsWorld, proxy: str, version: str, text: str) -> None:
    client = XdsClient(world, proxy, version=version)
    client.begin()
    ended = await client.hear()
    assert ended is not None
    assert ended.code == 3
    assert ended.text.startswith(text)


async def test_what_is_no_request_ends_the_stream(world: XdsWorld) -> None:
    client = XdsClient(world)
    client.call.send(b"\xff")
    ended = await client.hear()
    assert ended is not None
    assert (ended.code, ended.text) == (3, "protobuf: a number is cut off or too long")


async def test_what_is_refused_is_told(world: XdsWorld, caplog: pytest.LogCaptureFixture) -> None:
    await world.register()
    client = XdsClient(world)
    client.begin()
    client.refuses = {"public_listener:0.0.0.0:20000"}
    await client.hear()
    (row,) = world.agent.extras["xds"].status()
    assert row["Rejected"] == {"Listener public_listener:0.0.0.0:20000": "bad: ['public_listener:0.0.0.0:20000']"}
    assert row["Acknowledged"]["Cluster"] == 1
    assert counted(world, "xds.server.rejected") == 1
    assert "Envoy did not accept: proxy=web-sidecar-proxy type=Listener" in caplog.text
    client.refuses = set()
    await world.inside.put("/v1/config", {"Kind": "service-defaults", "Name": "web", "MaxInboundConnections": 7})
    await client.hear()
    (row,) = world.agent.extras["xds"].status()
    assert row["Rejected"] == {}


async def test_what_cannot_be_sent_is_told(world: XdsWorld, caplog: pytest.LogCaptureFixture) -> None:
    bad = '{"@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": "local_app", "nonsense": 1}'
    await world.register(Config={"envoy_local_cluster_json": bad})
    client = XdsClient(world)
    client.begin()
    assert await client.hear() is None
    (row,) = world.agent.extras["xds"].status()
    assert "nonsense" in row["Unsendable"]["configuration"]
    assert "nonsense" in caplog.text
    await world.register()
    await client.hear()
    assert "local_app" in client.held[CLUSTER]
    (row,) = world.agent.extras["xds"].status()
    assert row["Unsendable"] == {}


# --- tokens ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("token", "code", "text"),
    [
        ("e95b599e-166e-7d80-08ad-aee76e7ddf19", 16, "unauthenticated: ACL not found"),
        ("", 7, "Permission denied: anonymous token lacks permission 'service:write' on \"web\"."),
    ],
)
async def test_who_may_not_is_refused(guarded: XdsWorld, token: str, code: int, text: str) -> None:
    await guarded.register()
    client = XdsClient(guarded, token=token)
    client.begin()
    ended = await client.hear()
    assert ended is not None
    assert ended.code == code
    assert ended.text.startswith(text)
    assert client.held == {}


async def test_writing_another_service_is_not_enough(guarded: XdsWorld) -> None:
    await guarded.register()
    accessor, secret = await guarded.inside.token(
        'service "api" { policy = "write" } service "web" { policy = "read" }'
    )
    client = XdsClient(guarded, token=secret)
    client.begin()
    ended = await client.hear()
    assert ended is not None
    words = f"Permission denied: token with AccessorID '{accessor}' lacks permission 'service:write' on \"web\""
    assert (ended.code, ended.text) == (7, words)


async def test_a_token_that_ends_ends_its_stream(guarded: XdsWorld) -> None:
    await guarded.register()
    accessor, secret = await guarded.inside.token(OWN)
    client = XdsClient(guarded, token=secret)
    client.begin()
    assert await client.hear() is None
    assert "local_app" in client.held[CLUSTER]
    deleted = await guarded.inside.ask("DELETE", f"/v1/acl/token/{accessor}")
    assert deleted.status == 200
    ended = await client.hear()
    assert ended is not None
    assert (ended.code, ended.text) == (16, "unauthenticated: ACL not found")


async def test_a_token_that_may_no_more_ends_its_stream(guarded: XdsWorld) -> None:
    await guarded.register()
    _, secret = await guarded.inside.token(OWN)
    client = XdsClient(guarded, token=secret)
    client.begin()
    assert await client.hear() is None
    (policy,) = [row for row in await guarded.inside.get("/v1/acl/policies") if row["Name"].startswith("p")]
    body = {"Name": policy["Name"], "Rules": 'service "web" { policy = "read" }'}
    await guarded.inside.put(f"/v1/acl/policy/{policy['ID']}", body)
    ended = await client.hear()
    assert ended is not None
    assert ended.code == 7


async def test_a_token_that_counts_no_longer_sees_nothing(guarded: XdsWorld) -> None:
    """A client agent may be given one that is stale, while no server can say what it is now."""
    await guarded.register()
    _, secret = await guarded.inside.token('service "web" { policy = "read" }')
    guardian = guarded.agent.extras["acl"]
    identity = await guardian.identify(secret)
    identity.end()

    async def stale(_: str) -> object:
        return identity

    guardian.identify = stale
    client = XdsClient(guarded, token=secret)
    client.begin()
    ended = await client.hear()
    assert ended is not None
    assert ended.code == 7
    assert client.held == {}


@pytest.mark.parametrize(("may", "code"), [("read", 7), ("write", None)])
async def test_who_may_write_no_service_does_not_wait_for_a_proxy(
    guarded: XdsWorld, may: str, code: int | None
) -> None:
    _, secret = await guarded.inside.token(f'service "other" {{ policy = "{may}" }}')
    client = XdsClient(guarded, token=secret)
    client.begin()
    ended = await client.hear()
    assert (ended.code if ended is not None else None) == code


async def test_a_token_is_asked_about_again(guarded: XdsWorld) -> None:
    await guarded.register()
    client = XdsClient(guarded, token=MANAGER)
    client.begin()
    await client.hear()
    asked: list[str] = []
    guardian = guarded.agent.extras["acl"]
    identify = guardian.identify

    async def noted(secret: str) -> object:
        asked.append(secret)
        return await identify(secret)

    guardian.identify = noted
    await guarded.inside.clock.advance(RECHECK_S + 1)
    assert await client.hear() is None
    assert asked == [MANAGER]


async def test_what_a_token_may_not_read_is_not_in_it(guarded: XdsWorld) -> None:
    await guarded.register("db")
    await guarded.register(Upstreams=[{"DestinationName": "db", "LocalBindPort": 9191}])
    _, secret = await guarded.inside.token('service "web" { policy = "write" }')
    client = XdsClient(guarded, token=secret)
    client.begin()
    await client.hear()
    assert not any(name.startswith("db.") for name in client.held[CLUSTER])


def test_times_are_those_of_consul() -> None:
    assert RECHECK_S == 300
    assert server_config().xds.update_max_per_second == 250
