"""Snapshots of the proxies registered here: blocking on a hash, leafs, deregistration; endpoint and secrets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import quote

import pytest
from meshtest.inprocess import InProcess

from meshagent.agent.proxies import UNUSED_S
from meshagent.connect.certs import facts
from meshagent.errors import Denied, NoLeader

WEB = {
    "Name": "web", "Port": 80,
    "Connect": {"SidecarService": {"Proxy": {"Upstreams": [{"DestinationName": "db", "LocalBindPort": 9191}]}}},
}  # fmt: skip
PATH = "/v1/agent/connect/proxy/web-sidecar-proxy"


@pytest.fixture
async def agent() -> AsyncIterator[InProcess]:
    running = InProcess()
    await running.start()
    assert running.mesh.authority is not None
    await running.mesh.authority.initialise()
    running.mesh.start()
    await running.put("/v1/agent/service/register", WEB)
    await running.settle()
    yield running
    await running.stop()


async def test_a_proxy_gets_everything_and_others_no_key(agent: InProcess) -> None:
    answer = await agent.ask("GET", PATH)
    shown = answer.json
    assert (shown["service"], shown["inbound"]["port"], shown["leaf_key"]) == ("web", 21000, "hidden")
    assert shown["outbound"][0]["chain"]["start"] == "resolver:db.default.default.dc1"
    assert len(shown["roots"]) == 1
    assert "PRIVATE KEY" not in answer.text
    secret = await agent.ask("GET", f"{PATH}?secrets")
    assert secret.json["leaf_key"].startswith("-----BEGIN EC PRIVATE KEY-----")
    assert secret.headers["x-consul-contenthash"] == answer.headers["x-consul-contenthash"]


async def test_who_has_it_waits_for_a_change_of_what_concerns_it(agent: InProcess) -> None:
    digest = (await agent.ask("GET", PATH)).headers["x-consul-contenthash"]
    waiting = asyncio.ensure_future(agent.ask("GET", f"{PATH}?hash={digest}&wait=60s"))
    await agent.settle()
    await agent.put("/v1/connect/intentions/exact?source=a&destination=other", {"Action": "deny"})
    await agent.settle()
    assert not waiting.done()
    await agent.put("/v1/connect/intentions/exact?source=a&destination=web", {"Action": "deny"})
    answer = await waiting
    assert [one["source"] for one in answer.json["intentions"]] == ["a"]
    assert answer.headers["x-consul-contenthash"] != digest


async def test_a_wait_ends_with_the_same(agent: InProcess) -> None:
    digest = (await agent.ask("GET", PATH)).headers["x-consul-contenthash"]
    waiting = asyncio.ensure_future(agent.ask("GET", f"{PATH}?hash={digest}&wait=1s"))
    await agent.clock.advance(1.2)
    assert (await waiting).headers["x-consul-contenthash"] == digest


async def test_a_new_leaf_and_a_new_registration_are_changes(agent: InProcess) -> None:
    first = await agent.ask("GET", PATH)
    digest = first.headers["x-consul-contenthash"]
    waiting = asyncio.ensure_future(agent.ask("GET", f"{PATH}?hash={digest}&wait=600s"))
    await agent.settle()
    await agent.put("/v1/connect/ca/configuration", {"Provider": "consul", "Config": {"PrivateKeyBits": 384}})
    second = await waiting
    assert len(second.json["roots"]) == 2
    digest = second.headers["x-consul-contenthash"]
    waiting = asyncio.ensure_future(agent.ask("GET", f"{PATH}?hash={digest}&wait=600s"))
    await agent.clock.advance(31.0)
    third = await waiting
    assert third.json["leaf_chain"] != first.json["leaf_chain"]
    digest = third.headers["x-consul-contenthash"]
    waiting = asyncio.ensure_future(agent.ask("GET", f"{PATH}?hash={digest}&wait=600s"))
    await agent.settle()
    await agent.put("/v1/agent/service/register", {"Name": "web", "Port": 81, "Connect": {"SidecarService": {}}})
    assert (await waiting).json["outbound"] == []


async def test_a_proxy_that_is_deregistered_is_told(agent: InProcess) -> None:
    digest = (await agent.ask("GET", PATH)).headers["x-consul-contenthash"]
    waiting = asyncio.ensure_future(agent.ask("GET", f"{PATH}?hash={digest}&wait=600s"))
    await agent.settle()
    await agent.put("/v1/agent/service/deregister/web")
    answer = await waiting
    assert (answer.status, answer.text) == (404, "unknown proxy ID: web-sidecar-proxy")
    assert (await agent.ask("GET", "/v1/agent/connect/proxy/web")).status == 404
    assert (await agent.ask("GET", "/v1/agent/connect/proxy/")).status == 400


async def test_what_nobody_asks_about_is_forgotten(agent: InProcess) -> None:
    await agent.put("/v1/agent/service/register", {"Name": "api", "Port": 81, "Connect": {"SidecarService": {}}})
    await agent.get(PATH)
    await agent.clock.advance(UNUSED_S + 1)
    await agent.get("/v1/agent/connect/proxy/api-sidecar-proxy")
    assert list(agent.mesh.proxies._proxies) == [("", "api-sidecar-proxy")]


ALL = "/v1/agent/connect/proxies"


async def test_all_proxies_of_a_host_are_told_of_together(agent: InProcess) -> None:
    first = (await agent.ask("PUT", ALL, value={})).json
    assert list(first["Digests"]) == list(first["Snapshots"]) == ["web-sidecar-proxy"]
    assert first["Snapshots"]["web-sidecar-proxy"]["leaf_key"].startswith("-----BEGIN EC PRIVATE KEY-----")
    waiting = asyncio.ensure_future(agent.ask("PUT", f"{ALL}?wait=60s", value={"Known": first["Digests"]}))
    await agent.settle()
    await agent.put("/v1/connect/intentions/exact?source=a&destination=other", {"Action": "deny"})
    await agent.settle()
    assert not waiting.done()
    await agent.put("/v1/agent/service/register", {"Name": "db", "Port": 1, "Connect": {"SidecarService": {}}})
    second = (await waiting).json
    assert sorted(second["Digests"]) == ["db-sidecar-proxy", "web-sidecar-proxy"]
    await agent.settle()  # the new instance has come to the catalog, where the other proxy finds it
    known = (await agent.ask("PUT", ALL, value={})).json["Digests"]
    waiting = asyncio.ensure_future(agent.ask("PUT", f"{ALL}?wait=60s", value={"Known": known}))
    await agent.settle()
    await agent.put("/v1/connect/intentions/exact?source=a&destination=db", {"Action": "deny"})
    third = (await waiting).json
    assert list(third["Snapshots"]) == ["db-sidecar-proxy"]
    waiting = asyncio.ensure_future(agent.ask("PUT", f"{ALL}?wait=60s", value={"Known": third["Digests"]}))
    await agent.settle()
    await agent.put("/v1/agent/service/deregister/db", None)
    assert list((await waiting).json["Digests"]) == ["web-sidecar-proxy"]


async def test_an_agent_that_ends_lets_nobody_wait(agent: InProcess) -> None:
    known = (await agent.ask("PUT", ALL, value={})).json["Digests"]
    digest = known["web-sidecar-proxy"]
    waiting = [
        asyncio.ensure_future(agent.ask("PUT", f"{ALL}?wait=60s", value={"Known": known})),
        asyncio.ensure_future(agent.ask("GET", f"{PATH}?hash={digest}&wait=60s")),
    ]
    await agent.settle()
    agent.mesh.proxies.release()
    assert [(await one).status for one in waiting] == [200, 200]


async def test_a_proxy_that_is_described_by_its_process(agent: InProcess) -> None:
    given = {"Service": "job", "Upstreams": [{"Name": "db", "Port": 5000}]}
    answer = await agent.ask("PUT", "/v1/agent/connect/proxy", value=given)
    shown = answer.json
    assert (shown["service"], shown["inbound"], shown["leaf_key"]) == ("job", None, "hidden")
    assert [(one["name"], one["address"], one["port"]) for one in shown["outbound"]] == [("db", "127.0.0.1", 5000)]
    by_id = await agent.ask("GET", f"/v1/agent/connect/proxy/{quote(shown['proxy_id'])}?secrets")
    assert by_id.status == 404, "its key is for who describes it, and may"
    digest = answer.headers["x-consul-contenthash"]
    waiting = asyncio.ensure_future(agent.ask("PUT", f"/v1/agent/connect/proxy?hash={digest}&wait=60s", value=given))
    await agent.settle()
    assert not waiting.done()
    await agent.put("/v1/connect/intentions/exact?source=a&destination=job", {"Action": "deny"})
    assert [one["source"] for one in (await waiting).json["intentions"]] == ["a"]
    served = {**given, "Address": "127.0.0.1", "Port": 20000, "LocalPort": 8080}
    shown = (await agent.ask("PUT", "/v1/agent/connect/proxy", value=served)).json
    assert (shown["inbound"]["port"], shown["inbound"]["local_port"]) == (20000, 8080)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (ALL, {"Known": 5}),
        ("/v1/agent/connect/proxy", {}),
        ("/v1/agent/connect/proxy", {"Service": "x", "Port": 99999}),
        ("/v1/agent/connect/proxy", {"Service": "x", "Upstreams": [{"Name": "y", "Port": 0}]}),
    ],
)
async def test_what_describes_nothing_is_refused(agent: InProcess, path: str, body: object) -> None:
    answer = await agent.ask("PUT", path, value=body)
    assert (answer.status, "Request decode failed" in answer.text) == (400, True)


async def test_an_agent_that_has_just_begun_decides_nothing_from_what_it_may_not_have_heard_yet(
    agent: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server whose log lags has no intentions yet: a sidecar that took that for the default would open."""
    mesh, log = agent.mesh, agent.agent.log

    async def leaderless(*, consistent: bool = False) -> None:
        raise NoLeader

    with monkeypatch.context() as patch:
        patch.setattr(log, "read_barrier", leaderless, raising=False)
        assert (await agent.ask("GET", PATH)).status == 500
        assert mesh.proxies._proxies == {}
    assert (await agent.ask("GET", PATH)).status == 200
    monkeypatch.setattr(log, "read_barrier", leaderless, raising=False)
    assert (await agent.ask("GET", PATH)).status == 200, "what it knows it goes on with"


async def test_one_that_nothing_may_be_said_of_stays_as_it_is_and_the_others_go_on(
    agent: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    await agent.put("/v1/agent/service/register", {"Name": "db", "Port": 1, "Connect": {"SidecarService": {}}})
    asked = asyncio.ensure_future(agent.ask("PUT", ALL, value={}))
    while not asked.done():  # a second leaf is not signed at once
        await agent.clock.advance(0.1)
    known = (await asked).json["Digests"]
    assert sorted(known) == ["db-sidecar-proxy", "web-sidecar-proxy"]

    async def hidden(service: str) -> None:
        if service == "web":
            raise Denied("hidden")

    monkeypatch.setattr(agent.mesh, "require_intentions", hidden)
    for name in ("web", "db"):
        await agent.put(f"/v1/connect/intentions/exact?source=a&destination={name}", {"Action": "deny"})
    answer = (await agent.ask("PUT", f"{ALL}?wait=60s", value={"Known": known})).json
    assert list(answer["Snapshots"]) == ["db-sidecar-proxy"]
    assert answer["Digests"]["web-sidecar-proxy"] == known["web-sidecar-proxy"]
    fresh = (await agent.ask("PUT", ALL, value={})).json
    assert list(fresh["Digests"]) == ["db-sidecar-proxy"], "one that has nothing gets nothing"
    assert (await agent.ask("GET", PATH)).status == 403


async def test_an_ingress_gateway_has_a_leaf_of_its_own_with_the_names_of_its_hosts(agent: InProcess) -> None:
    gateway = {"Kind": "ingress-gateway", "Name": "edge", "Port": 27400, "Address": "127.0.0.1"}
    await agent.put("/v1/agent/service/register", gateway)
    await agent.put("/v1/config", {"Kind": "service-defaults", "Name": "web", "Protocol": "http"})
    listener = {"Port": 27401, "Protocol": "http", "Services": [{"Name": "web", "Hosts": ["web.example.com"]}]}
    entry = {"Kind": "ingress-gateway", "Name": "edge", "Listeners": [listener]}
    await agent.put("/v1/config", entry)
    path = "/v1/agent/connect/proxy/edge"
    plain = (await agent.ask("GET", path)).json
    assert (plain["service"], plain["inbound"], plain["gateway"]["addresses"]) == ("edge", None, ["127.0.0.1"])
    assert [(one["port"], one["ready"]) for one in plain["gateway"]["listeners"]] == [(27401, False), (27400, True)]
    assert facts(plain["leaf_chain"].encode()).dns_names == ()
    await agent.put("/v1/config", {**entry, "TLS": {"Enabled": True}})
    asking = asyncio.ensure_future(agent.ask("GET", path))
    await agent.clock.advance(2.0)
    names = facts((await asking).json["leaf_chain"].encode()).dns_names
    assert names == ("*.ingress.consul", "*.ingress.dc1.consul", "web.example.com")
    asking = asyncio.ensure_future(agent.ask("PUT", "/v1/agent/connect/proxies", {"Known": {}}))
    await agent.clock.advance(2.0)
    assert sorted((await asking).json["Digests"]) == ["edge", "web-sidecar-proxy"]
