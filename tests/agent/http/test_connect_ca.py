"""`/v1/connect/ca` and `/v1/agent/connect/ca` (surface rows A27, A28, CN1, CN2): what golden scenarios do not show."""

from __future__ import annotations

import asyncio

import pytest
from meshtest.inprocess import InProcess, server_config


@pytest.fixture
async def mesh(live: InProcess) -> InProcess:
    assert live.mesh.authority is not None
    await live.mesh.authority.initialise()
    live.mesh.start()
    return live


async def test_a_new_cluster_has_no_roots_yet_and_says_so(live: InProcess) -> None:
    answer = await live.ask("GET", "/v1/connect/ca/roots")
    assert (answer.status, answer.json) == (200, {"ActiveRootID": "", "TrustDomain": "", "Roots": []})
    leaf = await live.ask("GET", "/v1/agent/connect/ca/leaf/web")
    assert (leaf.status, leaf.text) == (503, "the certificate authority has no root yet, try again in a moment")
    assert (await live.ask("GET", "/v1/connect/ca/configuration")).status == 500


async def test_who_waits_for_roots_is_woken_by_the_first_and_by_rotation(mesh: InProcess) -> None:
    first = await mesh.ask("GET", "/v1/connect/ca/roots")
    index = first.headers["x-consul-index"]
    waiting = asyncio.ensure_future(mesh.ask("GET", f"/v1/agent/connect/ca/roots?index={index}&wait=60s"))
    await mesh.settle()
    assert not waiting.done()
    await mesh.put("/v1/connect/ca/configuration", {"Provider": "consul", "Config": {"PrivateKeyBits": 384}})
    answer = await waiting
    assert [root["Active"] for root in answer.json["Roots"]].count(True) == 1
    assert len(answer.json["Roots"]) == 2
    assert (answer.headers["x-cache"], answer.headers["age"]) == ("HIT", "0")
    assert answer.json["ActiveRootID"] != first.json["ActiveRootID"]


async def test_all_roots_as_one_chain(mesh: InProcess) -> None:
    await mesh.put("/v1/connect/ca/configuration", {"Provider": "consul", "Config": {"PrivateKeyBits": 384}})
    answer = await mesh.ask("GET", "/v1/connect/ca/roots?pem=1")
    assert answer.headers["content-type"] == "application/pem-certificate-chain"
    assert "x-consul-index" not in answer.headers
    assert answer.text.count("BEGIN CERTIFICATE") == 3


async def test_a_leaf_blocks_until_it_is_renewed(mesh: InProcess) -> None:
    answer = await mesh.ask("GET", "/v1/agent/connect/ca/leaf/web")
    assert answer.json["ServiceURI"].endswith("/ns/default/dc/dc1/svc/web")
    index = answer.headers["x-consul-index"]
    waiting = asyncio.ensure_future(mesh.ask("GET", f"/v1/agent/connect/ca/leaf/web?index={index}&wait=60s"))
    await mesh.settle()
    assert not waiting.done()
    await mesh.put("/v1/connect/ca/configuration", {"Provider": "consul", "Config": {"PrivateKeyType": "rsa"}})
    await mesh.clock.advance(31.0)
    renewed = await waiting
    assert int(renewed.headers["x-consul-index"]) > int(index)
    assert renewed.headers["x-cache"] == "MISS"
    same = asyncio.ensure_future(
        mesh.ask("GET", f"/v1/agent/connect/ca/leaf/web?index={renewed.headers['x-consul-index']}&wait=1s")
    )
    await mesh.clock.advance(2.0)
    assert (await same).headers["x-cache"] == "HIT"


async def test_private_keys_of_the_authority_are_never_shown(mesh: InProcess) -> None:
    from meshagent.connect import certs

    key = certs.new_key("ec", 256).decode()
    await mesh.put("/v1/connect/ca/configuration", {"Provider": "consul", "Config": {"PrivateKey": key}})
    shown = await mesh.get("/v1/connect/ca/configuration")
    assert shown["Config"] == {"PrivateKey": "hidden"}
    roots = (await mesh.get("/v1/connect/ca/roots"))["ActiveRootID"]
    shown["Config"]["LeafCertTTL"] = "24h"
    await mesh.put("/v1/connect/ca/configuration", shown)
    assert (await mesh.get("/v1/connect/ca/roots"))["ActiveRootID"] == roots, "what was read is written back"
    assert "PRIVATE" not in str(
        [await mesh.get("/v1/connect/ca/configuration"), await mesh.get("/v1/connect/ca/roots")]
    )


async def test_without_the_mesh_it_is_said(live: InProcess) -> None:
    off = InProcess(config=server_config(connect=type(live.config.connect)(enabled=False)))
    for path in ("/v1/connect/ca/roots", "/v1/agent/connect/ca/roots", "/v1/agent/connect/ca/leaf/web"):
        answer = await off.ask("GET", path)
        assert (answer.status, answer.text) == (500, "Connect must be enabled in order to use this endpoint")
