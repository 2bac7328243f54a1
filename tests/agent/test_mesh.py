"""The mesh on an agent: what warns before a certificate lapses (issue rows M63, A28)."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from meshtest.inprocess import InProcess, guarded_config, server_config

from meshagent.agent.acl.access import Access
from meshagent.agent.mesh import CHECK_ID, LOOK_S, SIGN, Mesh
from meshagent.catalog.acl.authorizer import Authorizer
from meshagent.catalog.acl.rules import Rule
from meshagent.connect import certs, spiffe
from meshagent.connect.ca import SignedLeaf
from meshagent.errors import Denied, RemoteProtocolError, Unavailable


async def running() -> InProcess:
    agent = InProcess(config=server_config())
    await agent.start()
    assert agent.mesh.authority is not None
    await agent.mesh.authority.initialise()
    return agent


def jump(agent: InProcess, hours: float) -> None:
    """Let time pass without what happens in between: it would take minutes."""
    agent.clock._elapsed_s += hours * 3600.0


async def test_a_leaf_that_cannot_be_renewed_shows_as_check_gauge_and_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = await running()
    mesh = agent.mesh
    await mesh.leafs.get("web")

    async def refuse(request: bytes) -> None:
        raise Unavailable("no servers")

    mesh.look()
    assert CHECK_ID not in agent.local.checks
    monkeypatch.setattr(mesh.leafs, "_sign", refuse)
    jump(agent, 60)
    mesh.look()
    check = agent.local.checks[CHECK_ID].check
    assert check.status == "warning"
    assert check.output == "The leaf certificate of web could not be renewed: it is valid until 2024-01-03T23:59:00Z"
    assert check.output in caplog.text
    mesh.gauges(agent.agent.metrics)
    shown = {gauge["Name"]: gauge["Value"] for gauge in agent.agent.metrics.display(agent.clock.now())["Gauges"]}
    assert shown["consul.leaf-certs.entries_count"] == 1
    assert 0 < shown["consul.leaf-certs.next_expiry"] < 12 * 3600
    assert shown["consul.mesh.active-root-ca.expiry"] > 3600 * 24 * 3000
    jump(agent, 20)
    assert "has ended" in mesh.problem()
    monkeypatch.undo()
    await mesh.leafs.get("web")
    mesh.look()
    assert CHECK_ID not in agent.local.checks
    await agent.stop()


async def test_a_root_in_its_last_tenth_is_told_of() -> None:
    agent = await running()
    jump(agent, 3290 * 24)
    assert agent.mesh.problem().startswith("The root certificate ")
    await agent.stop()


async def test_an_intermediate_in_its_last_tenth_is_told_of_and_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of Vault, which ends long before the root; the one of a rotation vouches for the root and signs nothing."""
    agent = await running()
    table = agent.store.ca
    root = table.active
    assert root is not None
    now = agent.clock.now()
    keys = [certs.new_key("ec", 256) for _ in range(2)]
    old, between = (
        certs.root(key, name, "spiffe://x", number, now, timedelta(days=days))
        for number, (key, name, days) in enumerate(zip(keys, ("old", "between"), (30, 100), strict=True), 1)
    )
    crossed = certs.cross_sign(root.root_cert.encode(), old, keys[0], 3, now)
    row = msgspec.structs.replace(root, intermediates=(crossed.decode(), between.decode()))
    monkeypatch.setattr(type(table), "active", row)
    assert agent.mesh.problem() == ""
    agent.mesh.gauges(agent.agent.metrics)
    shown = {gauge["Name"]: gauge["Value"] for gauge in agent.agent.metrics.display(agent.clock.now())["Gauges"]}
    assert 99 < shown["consul.mesh.active-signing-ca.expiry"] / 86400 <= 100
    jump(agent, 91 * 24)
    assert agent.mesh.problem().startswith("The intermediate that signs leafs ends at 20")
    await agent.stop()


async def test_what_else_may_lapse_is_in_the_same_check() -> None:
    agent = await running()
    agent.mesh.others += [lambda: "", lambda: "The certificate of this agent could not be renewed"]
    agent.mesh.look()
    assert agent.local.checks[CHECK_ID].check.output == "The certificate of this agent could not be renewed"
    agent.mesh.others.clear()
    agent.mesh.look()
    assert CHECK_ID not in agent.local.checks
    await agent.stop()


async def test_started_it_renews_on_rotation_and_looks_around() -> None:
    agent = await running()
    agent.mesh.start()
    first = await agent.mesh.leafs.get("web")
    waiting = asyncio.ensure_future(agent.mesh.leafs.changed_from("web", first.signed.index, 600.0))
    assert agent.mesh.authority is not None
    await agent.settle()
    await agent.mesh.authority.configure("consul", {"PrivateKeyBits": 384}, False)
    await agent.clock.advance(31.0)
    assert waiting.done()
    assert waiting.result().signed.chain.count("BEGIN CERTIFICATE") == 2
    await agent.clock.advance(LOOK_S)
    await agent.stop()


async def test_a_client_needs_somebody_to_sign() -> None:
    agent = InProcess()
    with pytest.raises(TypeError):
        Mesh(agent.agent, None)


@pytest.mark.parametrize("method", ["ca-sign", SIGN])
async def test_a_server_signs_for_others_over_rpc(method: str) -> None:
    agent = await running()
    methods: dict[str, Any] = agent.mesh.rpc_methods()  # type: ignore[assignment]
    uri = spiffe.format(spiffe.service_id(agent.store.ca.trust_domain, "dc1", "web"))
    request = certs.request(certs.new_key("ec", 256), uri)
    answer = await methods[method](None, request if method == "ca-sign" else msgspec.msgpack.encode(("", request)))
    assert msgspec.msgpack.decode(answer, type=SignedLeaf).uri == uri
    await agent.stop()


async def test_a_server_signs_for_who_may_write_the_service() -> None:
    agent = InProcess(config=guarded_config())
    await agent.start()
    assert agent.mesh.authority is not None
    await agent.mesh.authority.initialise()
    methods: dict[str, Any] = agent.mesh.rpc_methods()  # type: ignore[assignment]
    uri = spiffe.format(spiffe.service_id(agent.store.ca.trust_domain, "dc1", "web"))
    request = certs.request(certs.new_key("ec", 256), uri)
    _, own = await agent.token('service "web" { policy = "write" }')
    _, other = await agent.token('service "api" { policy = "write" } service "web" { policy = "read" }')
    answer = await methods[SIGN](None, msgspec.msgpack.encode((own, request)))
    assert msgspec.msgpack.decode(answer, type=SignedLeaf).uri == uri
    for token in (other, "", "11111111-2222-3333-4444-555555555555"):
        with pytest.raises(Denied):
            await methods[SIGN](None, msgspec.msgpack.encode((token, request)))
    with pytest.raises(Denied):  # an older client shows no token
        await methods["ca-sign"](None, request)
    with pytest.raises(RemoteProtocolError):
        await methods[SIGN](None, request)
    await agent.stop()


class Told:
    """A replica that knows everything, and a guardian whose agent token has these rules."""

    def __init__(self, *rules: Rule) -> None:
        self.tokens = SimpleNamespace(agent="secret")
        self._access = Access(Authorizer(rules))

    async def known(self) -> None:
        return

    async def identify(self, secret: str) -> Any:
        assert secret == "secret"
        return SimpleNamespace(access=self._access)


@pytest.mark.parametrize(
    ("rules", "allowed"),
    [
        ((Rule("service", "", False, "read"),), True),
        ((Rule("service", "web", True, "read"),), True),
        ((Rule("service", "web", True, "read", intentions="deny"),), False),
        ((Rule("service", "api", True, "write"),), False),
        ((), False),
    ],
)
async def test_a_client_that_may_not_see_who_is_denied_decides_nothing(rules: tuple[Rule, ...], allowed: bool) -> None:
    agent = await running()
    mesh, told = agent.mesh, Told(*rules)
    await mesh.require_intentions("web")  # a server sees everything
    mesh._replica = told  # type: ignore[assignment]
    await mesh.require_intentions("web")  # without ACLs nothing is hidden
    agent.agent.extras["acl"] = told
    if allowed:
        await mesh.require_intentions("web")
    else:
        with pytest.raises(Denied, match="the agent's token may not read the intentions of web"):
            await mesh.require_intentions("web")
    del agent.agent.extras["acl"]
    await agent.stop()
