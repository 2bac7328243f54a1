"""The calls that consul-k8s made to a server, made again: each is answered as then, with no more rights than then.

Surface rows P1, P2, P4, P5, P6, P8, P9, P10, P11, P14: what the injector registers for an injected pod, its readiness
and its end; catalog sync; custom resources; the Gateway API; gateways; server-acl-init. The calls are those of
tests/data/consul_k8s; each program has the token that its login got: the role that server-acl-init made for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from meshtest.certificates import make_ca
from meshtest.inprocess import MANAGER, NODE_ID, InProcess, guarded_config
from meshtest.jwts import Issuer

from meshagent.agent.self_registration import ServerFacts, server_registration

CALLS = Path(__file__).parent.parent / "data" / "consul_k8s" / "calls.json"
_ID = re.compile(r"00000000-0000-4000-8000-\d{12}")
_ROLES = {"connect-inject": "rel-consul-connect-inject-acl-role", "sync-catalog": "rel-consul-sync-catalog-acl-role"}


class Replay:
    """Makes calls as they were recorded; `ids` are recorded ids and those of now."""

    def __init__(self, server: InProcess) -> None:
        self.server = server
        self.ids: dict[str, str] = {}
        self.tokens = {"server-acl-init": MANAGER}
        authority = make_ca()
        self.given = {"{ca}": authority.pem.decode(), "{jwt}": Issuer().token(sub="k8s")}

    async def run(self, call: dict[str, Any]) -> None:
        token = self.tokens.get(call["as"]) or await self._log_in(call["as"])
        path = self._now(call["path"])
        body = self._now(json.dumps(call["body"])).encode() if "body" in call else None
        answer = await self.server.ask(call["method"], path, body=body, headers={"X-Consul-Token": token})
        assert answer.status == call["status"], (call["method"], path, answer.text)
        then = call.get("answer")
        if isinstance(then, str):
            assert answer.text == then
        elif then is not None:
            self._learn(then, answer.json)

    async def _log_in(self, program: str) -> str:
        role = _ROLES.get(program)
        body = {"Roles": [{"Name": role}]} if role else {"ServiceIdentities": [{"ServiceName": "web"}]}
        _, self.tokens[program] = await self.server.token(**body)
        return self.tokens[program]

    def _now(self, text: str) -> str:
        for word, given in self.given.items():
            text = text.replace(word, json.dumps(given)[1:-1])
        return _ID.sub(lambda found: self.ids.get(found.group(), found.group()), text)

    def _learn(self, then: Any, now: Any) -> None:
        if isinstance(then, dict):
            for key, value in then.items():
                self._learn(value, now.get(key))
        elif isinstance(then, list) and isinstance(now, list):
            by_name = {one.get("Name"): one for one in now if isinstance(one, dict)}
            for one in then:
                self._learn(one, by_name.get(one.get("Name"), {}) if isinstance(one, dict) and one.get("Name") else {})
        elif isinstance(then, str) and _ID.fullmatch(then) and isinstance(now, str):
            self.ids[then] = now


@pytest.fixture
async def server() -> AsyncIterator[InProcess]:
    running = InProcess(config=guarded_config())
    await running.start()
    assert running.mesh.authority is not None
    await running.mesh.authority.initialise()
    running.mesh.start()
    facts = ServerFacts(
        node_id=NODE_ID, name="n1", address="127.0.0.1", datacenter="dc1", server_port=8300, grpc_tls_port=8503
    )
    await running.agent.write(server_registration(facts))
    yield running
    await running.stop()


async def test_p14_p6_p9_every_call_is_answered_as_then(server: InProcess) -> None:
    replay = Replay(server)
    for call in json.loads(CALLS.read_bytes()):
        await replay.run(call)
    assert replay.tokens.keys() == {"server-acl-init", "connect-inject", "connect-init", "sync-catalog"}
    await what_is_there_then(server)


async def what_is_there_then(server: InProcess) -> None:
    """The pod `api-1`, a registration and an intention were deleted; the rest is as Kubernetes has it."""
    pods = (await server.get("/v1/catalog/node-services/k1-virtual"))["Services"]
    assert [(one["ID"], one.get("Kind", "")) for one in pods] == [
        ("ig-0", "ingress-gateway"),
        ("rel-consul-mesh-gateway-0", "mesh-gateway"),
        ("tg-0", "terminating-gateway"),
        ("web-1-web", ""),
        ("web-1-web-sidecar-proxy", "connect-proxy"),
    ]
    assert {(one["Weights"]["Passing"], one["Weights"]["Warning"]) for one in pods} == {(1, 1)}
    web = next(one for one in pods if one["ID"] == "web-1-web")
    assert (web["Tags"], web["Meta"]["team"], web["Meta"]["managed-by"]) == (
        ["v1", "blue"], "a", "consul-k8s-endpoints-controller",
    )  # fmt: skip
    assert web["TaggedAddresses"]["virtual"]["Port"] == 80
    [sidecar] = await server.get("/v1/health/connect/web?passing")
    assert [(one["Type"], one["Name"]) for one in sidecar["Checks"]] == [
        ("kubernetes-readiness", "Kubernetes Readiness Check")
    ]
    snapshot = await server.get("/v1/agent/connect/proxy/web-1-web-sidecar-proxy?node=k1-virtual")
    assert (snapshot["service"], snapshot["transparent"] is not None) == ("web", True)

    synced = (await server.get("/v1/catalog/node-services/k8s-sync"))["Services"]
    assert {one["Service"] for one in synced} >= {"kubernetes", "np", "web"}
    assert {one["Meta"]["external-source"] for one in synced} == {"kubernetes"}
    for kind, name in (("service-resolver", "api"), ("mesh", "mesh"), ("terminating-gateway", "tg")):
        entry = await server.get(f"/v1/config/{kind}/{name}")
        assert entry["Meta"]["external-source"] == "kubernetes"
    [route] = await server.get("/v1/config/http-route")
    assert {(one["Type"], one["Status"]) for one in route["Status"]["Conditions"]} == {
        ("Accepted", "True"), ("Bound", "True"),
    }  # fmt: skip
    assert (await server.ask("GET", "/v1/config/service-intentions/api")).status == 404
    assert not (await server.get("/v1/catalog/node-services/ext-node"))["Services"]
