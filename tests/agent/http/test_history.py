"""The versions of keys and config entries over HTTP, with their authors."""

import base64
import json
from typing import Any

from meshtest.httpapi import Api
from meshtest.inprocess import InProcess


def keep(api: Api, versions: int = 5) -> None:
    config: Any = api.agent.config
    config.history.versions = versions
    api.server.configure(api.server.settings)


async def test_off_says_so(api: Api) -> None:
    await api.put("/v1/kv/k", b"1")
    answer = await api.get("/v1/history/kv/k")
    assert answer.status == 404
    assert b"history.versions" in answer.body
    assert not api.agent.store.history.rows()


async def test_a_key_with_its_author(api: Api) -> None:
    keep(api)
    await api.put("/v1/kv/k?flags=3", b"1")
    await api.put("/v1/txn", json.dumps([{"KV": {"Verb": "set", "Key": "k", "Value": "Mg=="}}]).encode())
    await api.ask("DELETE", "/v1/kv/k")
    answer = await api.get("/v1/history/kv/k")
    first, second, third = answer.json
    now = api.agent.clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert first == {
        "Version": 2, "Time": now, "AccessorID": "", "TokenDescription": "", "Agent": "n1", "Deleted": False,
        "Flags": 3, "Value": base64.b64encode(b"1").decode(),
    }  # fmt: skip
    assert second["Value"] == "Mg=="
    assert (third["Deleted"], third["Value"]) == (True, None)
    assert answer.headers["x-consul-index"] == str(third["Version"])
    assert (await api.get("/v1/history/kv/none")).json == []
    assert (await api.get("/v1/history/kv/")).status == 400


async def test_a_blocking_read_sees_the_next_version(api: Api) -> None:
    keep(api)
    await api.put("/v1/kv/k", b"1")
    index = (await api.get("/v1/history/kv/k")).headers["x-consul-index"]
    waiting = api.agent.tasks.start(api.get(f"/v1/history/kv/k?index={index}"), name="reader")
    await api.put("/v1/kv/k", b"2")
    assert len((await waiting).json) == 2


async def test_config_entries_and_intentions(api: Api) -> None:
    keep(api)
    for protocol in ("http", "grpc"):
        body = {"Kind": "service-defaults", "Name": "web", "Protocol": protocol}
        await api.put("/v1/config", json.dumps(body).encode())
    await api.ask("DELETE", "/v1/config/service-defaults/web")
    rows = (await api.get("/v1/history/config/service-defaults/Web")).json
    assert [row["Entry"] and row["Entry"]["Protocol"] for row in rows] == ["http", "grpc", None]
    await api.put("/v1/connect/intentions/exact?source=a&destination=web", b'{"Action": "deny"}')
    [row] = (await api.get("/v1/history/config/service-intentions/web")).json
    assert row["Entry"]["Sources"][0]["Action"] == "deny"
    assert (await api.get("/v1/history/config/service-defaults")).status == 400
    assert (await api.get("/v1/history/config/zork/web")).status == 500  # as reading it is


async def test_the_token_is_named_and_what_it_was_needs_what_it_is_needs(guarded: InProcess) -> None:
    config = guarded.agent.config
    guarded.agent.config = config.replace(history=config.history.replace(versions=3))
    accessor, writer = await guarded.token('key "secret/k" { policy = "write" }', Description="deploys")
    _, stranger = await guarded.token('key "other" { policy = "write" }')
    assert (await guarded.ask("PUT", "/v1/kv/secret/k", body=b"1", headers={"X-Consul-Token": writer})).status == 200
    assert (await guarded.ask("GET", "/v1/history/kv/secret/k", headers={"X-Consul-Token": stranger})).status == 403
    [row] = (await guarded.ask("GET", "/v1/history/kv/secret/k", headers={"X-Consul-Token": writer})).json
    assert (row["AccessorID"], row["TokenDescription"]) == (accessor, "deploys")
    assert row["Agent"] == guarded.agent.node_name
    assert writer not in repr(guarded.agent.store.history.rows())
