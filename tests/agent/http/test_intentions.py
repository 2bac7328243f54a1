"""Intentions over HTTP: the recorded decisions of a running Consul, `explain`, audit, concurrent edits."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from meshtest import ROOT
from meshtest.inprocess import InProcess, server_config

RECORDED = json.loads((ROOT / "tests/data/golden/mesh/intentions.json").read_text())
#: Agent options behind each of the recorded defaults (`acl` counts as a default only: nobody is asked for a token).
DEFAULTS: dict[str, dict[str, Any]] = {
    "default-allow": {},
    "default-deny": {"default_intention_policy": "deny"},
    "acl-deny": {"acl": "deny"},
    "acl-deny-policy-allow": {"acl": "deny", "default_intention_policy": "allow"},
}
#: Left out of the recording.
_LEFT_OUT = {"ID", "CreateIndex", "ModifyIndex", "CreatedAt", "UpdatedAt", "Hash"}


def agent_with(default: str) -> InProcess:
    given = dict(DEFAULTS[default])
    config = server_config()
    if given.pop("acl", ""):
        given["acl"] = config.acl.replace(enabled=True, default_policy="deny")
    return InProcess(config=config.replace(**given))


def bare(value: Any) -> Any:
    if isinstance(value, list):
        return [bare(one) for one in value]
    if isinstance(value, dict):
        return {key: bare(one) for key, one in value.items() if key not in _LEFT_OUT}
    return value


async def written(agent: InProcess, name: str) -> None:
    for write in RECORDED["sets"][name]["writes"]:
        answer = await agent.ask(write["method"], write["path"], write.get("body"))
        assert answer.status == 200, (write, answer.text)


def same(answer: Any, recorded: dict[str, Any]) -> None:
    assert answer.status == recorded["status"], answer.text
    if "text" in recorded:
        assert answer.text == recorded["text"]
    else:
        assert bare(answer.json) == recorded["body"]


@pytest.mark.parametrize("name", list(RECORDED["sets"]))
async def test_the_recorded_decisions(name: str) -> None:
    for default in DEFAULTS:
        rows = [row for row in RECORDED["rows"] if row["set"] == name and row["default"] == default]
        if not rows:
            continue
        agent = agent_with(default)
        await written(agent, name)
        for row in rows:
            source, destination = row["source"], row["destination"]
            pair = f"source={source}&destination={destination}"
            same(await agent.ask("GET", f"/v1/connect/intentions/check?{pair}"), row["check"])
            uri = f"spiffe://td.consul/ns/default/dc/dc1/svc/{source}"
            body = {"Target": destination, "ClientCertURI": uri, "ClientCertSerial": "01"}
            same(await agent.ask("POST", "/v1/agent/connect/authorize", body), row["authorize"])
            explained = await agent.get(f"/v1/connect/intentions/explain?{pair}")
            assert explained["Allowed"] == row["authorize"]["body"]["Authorized"]
            assert explained["Reason"] == row["authorize"]["body"]["Reason"]
            assert sum(one["Decides"] for one in explained["Considered"]) == (explained["Intention"] is not None)


@pytest.mark.parametrize("name", list(RECORDED["sets"]))
async def test_the_recorded_lists_and_matches(name: str) -> None:
    agent = agent_with("default-allow")
    await written(agent, name)
    same(await agent.ask("GET", "/v1/connect/intentions"), RECORDED["sets"][name]["list"])
    for one in RECORDED["matches"]:
        if one["set"] == name:
            path = f"/v1/connect/intentions/match?by={one['by']}&name={one['name']}"
            same(await agent.ask("GET", path), one["match"])


async def test_the_recorded_edges() -> None:
    agent = agent_with("default-deny")
    await agent.put(
        "/v1/config", {"Kind": "service-intentions", "Name": "db", "Sources": [{"Name": "web", "Action": "allow"}]}
    )
    for edge in RECORDED["edges"]:
        method, path = edge["request"].split(" ", 1)
        body = json.loads(json.dumps(edge["body"]).replace("<td>", "td.consul")) if "body" in edge else None
        same(await agent.ask(method, path, body), edge["answer"])


async def test_an_audit_allows_is_counted_and_logged(live: InProcess, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    await live.put("/v1/connect/intentions/exact?source=web&destination=db", {"Action": "audit"})
    body = {"Target": "db", "ClientCertURI": "spiffe://td.consul/ns/default/dc/dc1/svc/web"}
    answer = await live.ask("POST", "/v1/agent/connect/authorize", body)
    assert answer.json["Authorized"] is True
    assert "would be denied: source=web destination=db" in caplog.text
    counters = live.agent.metrics.display(live.clock.now())["Counters"]
    assert [one["Count"] for one in counters if one["Labels"] == {"outcome": "audited"}] == [1]
    refused = await live.ask("PUT", "/v1/connect/intentions/exact?source=web&destination=db", {"Action": "zork"})
    assert refused.text == "Sources[0].Action must be set to 'allow' or 'deny'"


async def test_explain_looks_into_permissions(live: InProcess) -> None:
    await live.put("/v1/config", {"Kind": "service-defaults", "Name": "api", "Protocol": "http"})
    permissions = [{"Action": "allow", "HTTP": {"PathPrefix": "/a", "Header": [{"Name": "x", "Exact": "1"}]}}]
    await live.put("/v1/connect/intentions/exact?source=web&destination=api", {"Permissions": permissions})
    pair = "/v1/connect/intentions/explain?source=web&destination=api"
    assert (await live.get(pair))["Allowed"] is False
    good = await live.get(f"{pair}&path=/a/b&header=X:1")
    assert (good["Allowed"], good["Reason"].endswith("Permissions[0] matches (Action: ALLOW)")) == (True, True)
    assert "no permission matches" in (await live.get(f"{pair}&path=/b"))["Reason"]
    assert (await live.get(f"{pair}&path=/a&header=X:1&header=x:2"))["Allowed"], "one of several is enough"


async def test_edits_at_the_same_time_are_all_kept(live: InProcess) -> None:
    names = [f"s{number}" for number in range(12)]
    path = "/v1/connect/intentions/exact?source={}&destination=db"
    await asyncio.gather(*(live.put(path.format(name), {"Action": "allow"}) for name in names))
    entry = await live.get("/v1/config/service-intentions/db")
    assert sorted(source["Name"] for source in entry["Sources"]) == sorted(names)
    await asyncio.gather(*(live.ask("DELETE", path.format(name)) for name in names))
    assert (await live.ask("GET", "/v1/config/service-intentions/db")).status == 404


async def test_a_watcher_of_matches_is_woken(live: InProcess) -> None:
    await live.put("/v1/connect/intentions/exact?source=web&destination=db", {"Action": "allow"})
    path = "/v1/connect/intentions/match?by=destination&name=db"
    index = (await live.ask("GET", path)).headers["x-consul-index"]
    waiting = asyncio.ensure_future(live.ask("GET", f"{path}&index={index}&wait=60s"))
    await live.settle()
    assert not waiting.done()
    await live.put("/v1/connect/intentions/exact?source=web&destination=db", {"Action": "deny"})
    assert (await waiting).json["db"][0]["Action"] == "deny"
