"""`/v1/agent/connect/proxy/:id`: what tests/agent/test_proxies.py does not ask."""

from __future__ import annotations

import asyncio
from typing import Any

from meshtest.inprocess import InProcess, server_config


async def test_without_the_mesh_it_is_said(live: InProcess) -> None:
    off = InProcess(config=server_config(connect=type(live.config.connect)(enabled=False)))
    answer = await off.ask("GET", "/v1/agent/connect/proxy/x")
    assert (answer.status, answer.text) == (500, "Connect must be enabled in order to use this endpoint")


async def test_before_there_is_an_authority_there_is_no_leaf(live: InProcess) -> None:
    await live.put("/v1/agent/service/register", {"Name": "web", "Port": 80, "Connect": {"SidecarService": {}}})
    found = await live.get("/v1/agent/connect/proxy/web-sidecar-proxy")
    assert (found["leaf_chain"], found["leaf_key"], found["roots"]) == ("", "", [])


SIDECAR = {
    "SidecarService": {"Proxy": {"Upstreams": [{"DestinationName": "db", "LocalBindPort": 9191}]}}
}  # fmt: skip
PATH = "/v1/agent/connect/proxy/web-sidecar-proxy"
OWN = 'service "web" { policy = "write" }'


async def with_upstream(guarded: InProcess) -> None:
    db = {"Service": "db", "ID": "db1", "Port": 5432, "Connect": {"Native": True}}
    await guarded.put("/v1/catalog/register", {"Node": "far", "Address": "10.0.0.9", "Service": db})
    await guarded.put("/v1/agent/service/register", {"Name": "web", "Port": 80, "Connect": SIDECAR})


async def test_m70_an_upstream_is_shown_to_who_may_read_it(guarded: InProcess) -> None:
    await with_upstream(guarded)
    _, own = await guarded.token(OWN)
    _, service = await guarded.token(OWN + 'service "db" { policy = "read" }')
    _, both = await guarded.token(OWN + 'service "db" { policy = "read" } node "far" { policy = "read" }')
    _, other = await guarded.token('service "db" { policy = "write" }')

    async def ask(token: str, query: str = "") -> Any:
        return await guarded.ask("GET", PATH + query, headers={"X-Consul-Token": token})

    assert (await ask(other)).status == 403
    hidden = await ask(own)
    assert hidden.status == 200
    assert "10.0.0.9" not in hidden.text
    assert hidden.json["outbound"][0]["chain"] is None
    assert "service:read" in hidden.json["outbound"][0]["problem"]
    named = await ask(service)
    assert named.json["outbound"][0]["chain"] is not None
    assert "10.0.0.9" not in named.text  # the node is nobody's business but of who may read it
    assert "10.0.0.9" in (await ask(both)).text
    digests = {answer.headers["x-consul-contenthash"] for answer in (hidden, named, await ask(both))}
    assert len(digests) == 3


async def test_m70_a_token_that_ends_while_it_waits_sees_nothing_more(guarded: InProcess) -> None:
    await with_upstream(guarded)
    accessor, own = await guarded.token(OWN)
    headers = {"X-Consul-Token": own}
    digest = (await guarded.ask("GET", PATH, headers=headers)).headers["x-consul-contenthash"]
    waiting = asyncio.ensure_future(guarded.ask("GET", f"{PATH}?hash={digest}&wait=60s", headers=headers))
    await guarded.settle()
    await guarded.ask("DELETE", f"/v1/acl/token/{accessor}")
    await guarded.put("/v1/connect/intentions/exact?source=a&destination=web", {"Action": "deny"})
    await guarded.settle()
    assert (await waiting).status == 403


async def test_m70_described_by_flags_and_all_at_once_are_the_same(guarded: InProcess) -> None:
    await with_upstream(guarded)
    _, own = await guarded.token(OWN + f'agent "{guarded.agent.node_name}" {{ policy = "write" }}')
    headers = {"X-Consul-Token": own}
    given = {"Service": "web", "Upstreams": [{"Name": "db", "Port": 9191}]}
    told = await guarded.ask("PUT", "/v1/agent/connect/proxy", given, headers=headers)
    assert (told.status, "10.0.0.9" in told.text) == (200, False)
    every = await guarded.ask("PUT", "/v1/agent/connect/proxies?wait=1ms", {"Known": {}}, headers=headers)
    assert list(every.json["Snapshots"]) == ["web-sidecar-proxy"]
    assert "10.0.0.9" not in every.text
    whole = await guarded.ask("PUT", "/v1/agent/connect/proxies?wait=1ms", {"Known": {}})
    assert "10.0.0.9" in whole.text


async def test_m70_the_agents_own_process_sees_what_registrations_may(guarded: InProcess) -> None:
    """It runs the sidecars of all: each with the token that its service was registered with."""
    own = {"X-Consul-Token": guarded.agent.extras["acl_tokens"].own}
    writer = 'service_prefix "web" { policy = "write" } '
    _, narrow = await guarded.token(writer)
    _, wide = await guarded.token(writer + 'service "db" { policy = "read" } node_prefix "" { policy = "read" }')
    await with_upstream(guarded)
    await guarded.put("/v1/agent/service/deregister/web")

    async def told(token: str) -> Any:
        body = {"Name": "web", "Port": 80, "Connect": SIDECAR}
        made = await guarded.ask("PUT", "/v1/agent/service/register", body, headers={"X-Consul-Token": token})
        assert made.status == 200, made.text
        answer = await guarded.ask("PUT", "/v1/agent/connect/proxies?wait=1ms", {"Known": {}}, headers=own)
        assert answer.status == 200, answer.text
        return answer.json["Snapshots"]

    shown = await told(narrow)
    assert shown["web-sidecar-proxy"]["outbound"][0]["chain"] is None
    assert "10.0.0.9" not in str(shown)
    shown = await told(wide)
    [endpoint] = shown["web-sidecar-proxy"]["clusters"]["db.default.default.dc1"]["endpoints"]
    assert endpoint["address"] == "10.0.0.9"
    for row in await guarded.get("/v1/acl/tokens"):
        if row["SecretID"] in (wide, narrow):
            await guarded.ask("DELETE", f"/v1/acl/token/{row['AccessorID']}")
    answer = await guarded.ask("PUT", "/v1/agent/connect/proxies?wait=1ms", {"Known": {"x": ""}}, headers=own)
    assert (answer.status, answer.json["Snapshots"]) == (200, {})


async def test_p6_without_an_agent_a_token_needs_the_service_that_the_proxy_stands_for(guarded: InProcess) -> None:
    proxy = {"DestinationServiceName": "web"}
    sidecar = {"Kind": "connect-proxy", "Service": "web-proxy", "Port": 20000, "Proxy": proxy}
    await guarded.put("/v1/catalog/register", {"Node": "k8s-virtual", "Address": "10.0.0.1", "Service": sidecar})
    path = "/v1/agent/connect/proxy/web-proxy?node=k8s-virtual"
    _, own = await guarded.token('service "web" { policy = "write" }')
    _, other = await guarded.token('service "api" { policy = "write" }')
    assert (await guarded.ask("GET", path, headers={"X-Consul-Token": own})).status == 200
    refused = await guarded.ask("GET", path, headers={"X-Consul-Token": other})
    assert (refused.status, "service:write" in refused.text) == (403, True)
    missing = "/v1/agent/connect/proxy/other?node=k8s-virtual"
    assert (await guarded.ask("GET", missing, headers={"X-Consul-Token": other})).status == 404
    assert (await guarded.ask("GET", missing, headers={"X-Consul-Token": ""})).status == 403, (
        "not even that it is not there"
    )
