from __future__ import annotations

import base64

import pytest
from meshtest.httpapi import Api

from meshagent.catalog import commands


async def test_kv1_kv2_one_key(api: Api) -> None:
    missing = await api.get("/v1/kv/a")
    assert (missing.status, missing.body) == (404, b"")
    assert "content-type" not in missing.headers
    assert "x-consul-index" in missing.headers
    assert (await api.put("/v1/kv/a?flags=42", b"one")).json is True
    index = api.agent.store.index
    assert (await api.get("/v1/kv/a")).json == [
        {
            "LockIndex": 0, "Key": "a", "Flags": 42, "Value": base64.b64encode(b"one").decode(),
            "CreateIndex": index, "ModifyIndex": index,
        }
    ]  # fmt: skip
    raw = await api.get("/v1/kv/a?raw")
    assert raw.body == b"one"
    assert raw.headers["content-type"] == "text/plain"
    assert raw.headers["x-content-type-options"] == "nosniff"
    assert raw.headers["content-security-policy"] == "sandbox"


async def test_kv1_an_empty_value_is_null(api: Api) -> None:
    await api.put("/v1/kv/empty", b"")
    assert (await api.get("/v1/kv/empty")).json[0]["Value"] is None
    assert (await api.get("/v1/kv/empty?raw")).body == b""


async def test_kv3_kv4_lists(api: Api) -> None:
    for key in ("dir/x", "dir/sub/z", "dirt"):
        await api.put(f"/v1/kv/{key}", b"1")
    assert [row["Key"] for row in (await api.get("/v1/kv/dir?recurse")).json] == ["dir/sub/z", "dir/x", "dirt"]
    assert (await api.get("/v1/kv/dir/?keys&separator=/")).json == ["dir/sub/", "dir/x"]
    assert (await api.get("/v1/kv/dir/?keys&seperator=/")).json == ["dir/sub/", "dir/x"]
    assert (await api.get("/v1/kv/none?recurse")).status == 404
    assert (await api.get("/v1/kv/none?keys")).status == 404
    assert (await api.get("/v1/kv/?recurse")).status == 200


async def test_kv4_no_keys_at_all(api: Api) -> None:
    answer = await api.get("/v1/kv/?keys")
    assert (answer.status, answer.json) == (200, [])
    assert (await api.get("/v1/kv/?recurse")).status == 404


async def test_c1_names_are_decoded(api: Api) -> None:
    await api.put("/v1/kv/enc%2Fsl%20a%C3%BC", b"1")
    assert api.agent.store.kv.get("enc/sl aü") is not None


async def test_kv5_compare_and_set(api: Api) -> None:
    assert (await api.put("/v1/kv/c?cas=0", b"1")).json is True
    index = api.agent.store.index
    assert (await api.put("/v1/kv/c?cas=0", b"2")).json is False
    assert (await api.put(f"/v1/kv/c?cas={index}", b"3")).json is True
    assert (await api.get("/v1/kv/c?raw")).text == "3"


@pytest.mark.parametrize(
    ("target", "status", "text"),
    [
        ("/v1/kv/c?cas=x", 500, 'strconv.ParseUint: parsing "x": invalid syntax'),
        ("/v1/kv/c?cas=", 500, 'strconv.ParseUint: parsing "": invalid syntax'),
        ("/v1/kv/c?flags=-1", 500, 'strconv.ParseUint: parsing "-1": invalid syntax'),
        (f"/v1/kv/c?flags={2**64}", 500, f'strconv.ParseUint: parsing "{2**64}": value out of range'),
        ("/v1/kv/c?cas=1&acquire=x", 400, "Conflicting flags: acquire=x&cas=1\n"),
        ("/v1/kv/c?acquire=", 500, "raft apply failed: missing session"),
        ("/v1/kv/c?acquire=nope", 500, 'raft apply failed: invalid session "nope"'),
        ("/v1/kv/", 400, "Missing key name"),
        ("/v1/kv/c?dc=nowhere", 500, "No path to datacenter"),
    ],
)  # fmt: skip
async def test_kv5_refusals(api: Api, target: str, status: int, text: str) -> None:
    answer = await api.put(target, b"1")
    assert (answer.status, answer.text) == (status, text)


async def test_kv5_release_without_a_session_is_false(api: Api) -> None:
    assert (await api.put("/v1/kv/c?release=nope", b"1")).json is False


async def test_kv6_delete(api: Api) -> None:
    for key in ("a", "d/1", "d/2"):
        await api.write(commands.KVSet(key, b"1"))
    index = api.agent.store.kv.get("a").modify_index  # type: ignore[union-attr]
    assert (await api.ask("DELETE", "/v1/kv/a?cas=0")).json is False
    assert (await api.ask("DELETE", f"/v1/kv/a?cas={index}")).json is True
    assert (await api.ask("DELETE", "/v1/kv/a")).json is True
    assert (await api.ask("DELETE", "/v1/kv/d?recurse")).json is True
    assert (await api.get("/v1/kv/?keys")).json == []
    conflict = await api.ask("DELETE", "/v1/kv/a?cas=1&recurse")
    assert (conflict.status, conflict.text) == (400, "Conflicting flags: cas=1&recurse=\n")
    assert (await api.ask("DELETE", "/v1/kv/")).text == "Missing key name"
