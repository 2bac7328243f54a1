"""Proxies without an agent: found in the catalog, with the central configuration, and followed there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from meshtest.inprocess import InProcess

from meshagent.agent.proxy_places import Here, InCatalog
from meshagent.errors import NotFound

NODE = "k8s-1-virtual"
PATH = f"/v1/agent/connect/proxy/web-pod-sidecar-proxy?node={NODE}"


def pod(name: str = "web", address: str = "10.1.0.7", *upstreams: dict[str, Any]) -> list[dict[str, Any]]:
    """What an endpoints controller registers for one pod: its service and its sidecar."""
    own = {"Service": name, "ID": f"{name}-pod", "Address": address, "Port": 8080}
    proxy = {
        "DestinationServiceName": name, "DestinationServiceID": f"{name}-pod",
        "LocalServiceAddress": "127.0.0.1", "LocalServicePort": 8080, "Upstreams": list(upstreams),
    }  # fmt: skip
    sidecar = {
        "Service": f"{name}-sidecar-proxy", "ID": f"{name}-pod-sidecar-proxy", "Kind": "connect-proxy",
        "Address": address, "Port": 20000, "Proxy": proxy,
    }  # fmt: skip
    node = {"Node": NODE, "Address": "192.0.2.1", "NodeMeta": {"synthetic-node": "true"}}
    return [{**node, "Service": own}, {**node, "Service": sidecar}]


async def register(agent: InProcess, *args: Any) -> None:
    for body in pod(*args):
        await agent.put("/v1/catalog/register", body)
    await agent.settle()


@pytest.fixture
async def agent() -> AsyncIterator[InProcess]:
    running = InProcess()
    await running.start()
    assert running.mesh.authority is not None
    await running.mesh.authority.initialise()
    running.mesh.start()
    await register(running)
    yield running
    await running.stop()


async def test_p6_a_server_has_the_snapshot_of_a_proxy_that_only_the_catalog_knows(agent: InProcess) -> None:
    shown = (await agent.ask("GET", f"{PATH}&secrets")).json
    assert (shown["service"], shown["proxy_id"]) == ("web", "web-pod-sidecar-proxy")
    assert (shown["inbound"]["address"], shown["inbound"]["port"]) == ("10.1.0.7", 20000)
    assert shown["leaf_key"].startswith("-----BEGIN EC PRIVATE KEY-----")
    assert (await agent.ask("GET", PATH.replace(NODE, NODE.upper()))).status == 200
    elsewhere = await agent.ask("GET", PATH.replace(NODE, "other"))
    assert (elsewhere.status, elsewhere.text) == (404, "unknown proxy ID: web-pod-sidecar-proxy on node other")
    assert (await agent.ask("GET", PATH.split("?")[0])).status == 404


async def test_p6_what_changes_in_the_catalog_is_told_and_a_neighbour_is_none_of_it(agent: InProcess) -> None:
    digest = (await agent.ask("GET", PATH)).headers["x-consul-contenthash"]
    made = agent.mesh.proxies._proxies[NODE, "web-pod-sidecar-proxy"]
    waiting = asyncio.ensure_future(agent.ask("GET", f"{PATH}&hash={digest}&wait=60s"))
    await agent.settle()
    await register(agent, "api", "10.1.0.8")
    assert not waiting.done()
    assert made.snapshot is not None, "nothing was made anew"
    await register(agent, "web", "10.1.0.7", {"DestinationName": "api", "LocalBindPort": 1234})
    second = await waiting
    assert [(one["name"], one["problem"]) for one in second.json["outbound"]] == [("api", "")]
    digest = second.headers["x-consul-contenthash"]
    waiting = asyncio.ensure_future(agent.ask("GET", f"{PATH}&hash={digest}&wait=60s"))
    await agent.settle()
    await agent.put("/v1/config", {"Kind": "proxy-defaults", "Name": "global", "Config": {"protocol": "http"}})
    third = await waiting
    assert third.json["inbound"]["protocol"] == "http"
    digest = third.headers["x-consul-contenthash"]
    waiting = asyncio.ensure_future(agent.ask("GET", f"{PATH}&hash={digest}&wait=60s"))
    await agent.settle()
    await agent.put("/v1/catalog/deregister", {"Node": NODE, "ServiceID": "web-pod-sidecar-proxy"})
    assert (await waiting).status == 404
    assert not agent.mesh.proxies._proxies


async def test_on_its_own_node_an_agent_looks_at_its_own_registrations_first(agent: InProcess) -> None:
    await agent.put("/v1/agent/service/register", {"Name": "own", "Port": 80, "Connect": {"SidecarService": {}}})
    await agent.settle()
    proxies = agent.mesh.proxies
    await proxies.get("own-sidecar-proxy", node="N1")
    assert ("", "own-sidecar-proxy") in proxies._proxies
    assert proxies.registered("own-sidecar-proxy", "n1").proxy.destination_service_name == "own"


async def test_a_client_agent_has_no_catalog_to_look_in(agent: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent.agent, "upstream", object())
    with pytest.raises(NotFound, match="ask a server"):
        await agent.mesh.proxies.get("web-pod-sidecar-proxy", node=NODE)


async def test_a_place_that_is_closed_calls_nobody(agent: InProcess) -> None:
    told: list[str] = []
    places = [InCatalog(agent.store, NODE, "web-pod"), Here(agent.local, "gone")]
    for place in places:
        place.find()
        place.watch(lambda: told.append("changed"))
        place.close()
    await agent.put("/v1/catalog/deregister", {"Node": NODE})
    await agent.put("/v1/agent/service/register", {"Name": "gone", "Port": 1})
    await agent.settle()
    assert (told, [place.find() is None for place in places]) == ([], [True, False])
