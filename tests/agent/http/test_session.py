from __future__ import annotations

import asyncio
from typing import Any

import pytest
from meshtest.httpapi import Api
from meshtest.rows import check, node

from meshagent.catalog.commands import Register, SessionDestroy
from meshagent.errors import NoLeader


@pytest.fixture
def bare(api: Api) -> Api:
    """The API of an agent whose node nobody has registered yet."""
    return api


@pytest.fixture
async def api(api: Api) -> Api:
    """The API of an agent whose node is registered, with its health."""
    await api.write(Register(node("n1"), None, (check("serfHealth"), check("sick", status="critical"))))
    return api


async def create(api: Api, **body: Any) -> str:
    answer = await api.put("/v1/session/create", body)
    assert answer.status == 200, answer.text
    session_id: str = answer.json["ID"]
    return session_id


async def info(api: Api, session_id: str) -> Any:
    [row] = (await api.get(f"/v1/session/info/{session_id}")).json
    return row


async def test_se1_se4_defaults(api: Api) -> None:
    session_id = (await api.put("/v1/session/create")).json["ID"]
    index = api.agent.store.index
    assert (await api.get(f"/v1/session/info/{session_id}")).json == [
        {
            "ID": session_id, "Name": "", "Node": "n1", "LockDelay": 15_000_000_000, "Behavior": "release", "TTL": "",
            "NodeChecks": ["serfHealth"], "ServiceChecks": None, "CreateIndex": index, "ModifyIndex": index,
        }
    ]  # fmt: skip


async def test_se1_a_new_agents_session_waits_for_its_node(bare: Api) -> None:
    asked = asyncio.ensure_future(bare.put("/v1/session/create", {"NodeChecks": []}))
    await asyncio.sleep(0)
    await bare.write(Register(node("n1"), None, ()))
    assert (await asked).status == 200


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("5s", 5_000_000_000), (20, 20_000_000_000), (20_000_000_000, 20_000_000_000), ("0s", 0), (1e9, 10**9),
        ("500ns", 500_000_000_000), ("-5s", -5 * 10**18), ("-1h", -(2**63)), (None, 15_000_000_000), (True, 0),
    ],
)  # fmt: skip
async def test_c7_a_small_lock_delay_is_seconds(api: Api, given: Any, stored: int) -> None:
    assert (await info(api, await create(api, LockDelay=given)))["LockDelay"] == stored


@pytest.mark.parametrize(
    ("body", "checks"),
    [
        ({"NodeChecks": []}, []),
        ({"Checks": []}, []),
        ({"nodechecks": ["serfHealth", "serfHealth"]}, ["serfHealth"]),
        ({"Checks": ["serfHealth"]}, ["serfHealth"]),
        ({"NodeChecks": None}, ["serfHealth"]),
    ],
)
async def test_se1_checks(api: Api, body: Any, checks: list[str]) -> None:
    assert (await info(api, await create(api, **body)))["NodeChecks"] == checks


async def test_se1_unknown_fields_and_a_given_id_are_ignored(api: Api) -> None:
    assert await create(api, Foo=1, ID="mine") != "mine"


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (b'{"TTL":"5s"}', 500, "Invalid Session TTL '5000000000', must be between [10s=24h0m0s]"),
        (b'{"TTL":"25h"}', 500, "Invalid Session TTL '90000000000000', must be between [10s=24h0m0s]"),
        (b'{"TTL":"zz"}', 500, "Session TTL 'zz' invalid: time: invalid duration \"zz\""),
        (b'{"Behavior":"zz"}', 500, "Invalid Behavior setting 'zz'"),
        (b'{"Node":""}', 500, "Must provide Node"),
        (b'{"Node":"nope"}', 500, "apply failed: Missing node registration"),
        (b'{"Checks":["nope"]}', 500, "apply failed: Missing check 'nope' registration"),
        (b'{"ServiceChecks":[{"ID":"nope"}]}', 500, "apply failed: Missing check 'nope' registration"),
        (b'{"NodeChecks":["sick"]}', 500, "apply failed: Check 'sick' is in critical state"),
        (b'{"LockDelay":"zz"}', 400, 'Request decode failed: time: invalid duration "zz"'),
        (
            b'{"TTL":10}', 400,
            "Request decode failed: json: cannot unmarshal number into Go struct field .Alias.TTL of type string",
        ),
        (
            b"[]", 400,
            "Request decode failed: json: cannot unmarshal array into Go value of type "
            "struct { LockDelay interface {}; *structs.Alias }",
        ),
        (b"nope", 400, "Request decode failed: invalid character 'o' in literal null (expecting 'u')"),
    ],
)  # fmt: skip
async def test_se1_refusals(api: Api, body: bytes, status: int, text: str) -> None:
    answer = await api.put("/v1/session/create", body)
    assert (answer.status, answer.text) == (status, text)
    assert not api.agent.store.sessions.rows


async def test_se1_a_ttl_of_nothing_is_none(api: Api) -> None:
    assert (await info(api, await create(api, TTL="0s")))["TTL"] == "0s"


@pytest.mark.parametrize(
    ("method", "target", "text"),
    [
        ("PUT", "/v1/session/destroy/", "Missing session"),
        ("PUT", "/v1/session/renew/", "Missing session"),
        ("GET", "/v1/session/info/", "Missing session"),
        ("GET", "/v1/session/node/", "Missing node name"),
    ],
)
async def test_names_are_needed(api: Api, method: str, target: str, text: str) -> None:
    answer = await api.ask(method, target)
    assert (answer.status, answer.text) == (400, text)


async def test_se2_destroy(api: Api) -> None:
    session_id = await create(api)
    assert (await api.put(f"/v1/session/destroy/{session_id}")).json is True
    assert (await api.get(f"/v1/session/info/{session_id}")).json == []
    assert (await api.put("/v1/session/destroy/nope")).json is True


async def test_se3_renew(api: Api) -> None:
    session_id = await create(api, TTL="10s")
    answer = await api.put(f"/v1/session/renew/{session_id}")
    assert answer.json == [await info(api, session_id)]
    missing = await api.put("/v1/session/renew/nope")
    assert (missing.status, missing.text) == (404, "Session id 'nope' not found")


async def test_se3_only_a_leader_renews(api: Api) -> None:
    session_id = await create(api, TTL="10s")
    log: Any = api.agent.log
    log.leading = False
    answer = await api.put(f"/v1/session/renew/{session_id}")
    assert (answer.status, answer.text) == (500, "No cluster leader")


async def test_se5_lists(api: Api) -> None:
    assert (await api.get("/v1/session/list")).json == []
    ids = sorted([await create(api), await create(api)])
    assert [row["ID"] for row in (await api.get("/v1/session/list")).json] == ids
    assert [row["ID"] for row in (await api.get("/v1/session/node/N1")).json] == ids
    assert (await api.get("/v1/session/node/nope")).json == []


async def test_c11_all_reads_have_the_index_of_the_table(api: Api) -> None:
    session_id = await create(api)
    first = await api.get(f"/v1/session/info/{session_id}")
    await create(api)
    second = await api.get(f"/v1/session/info/{session_id}")
    assert second.json == first.json
    assert second.index == api.agent.store.sessions.index > first.index
    assert (await api.get("/v1/session/info/nope")).index == second.index


async def test_c5_without_a_leader_nothing_is_promised(api: Api) -> None:
    log: Any = api.agent.log
    log.refuse = NoLeader()
    for target in ("/v1/session/create", "/v1/session/destroy/x"):
        answer = await api.put(target)
        assert (answer.status, answer.text) == (500, "No cluster leader")
    elsewhere = await api.put("/v1/session/create?dc=nowhere")
    assert (elsewhere.status, elsewhere.text) == (500, "No path to datacenter")


async def test_e7_a_lost_lock_answers_false_for_the_lock_delay(api: Api) -> None:
    lost, other = await create(api, LockDelay="5s"), await create(api)
    assert (await api.put(f"/v1/kv/k?acquire={lost}", b"1")).json is True
    await api.write(SessionDestroy(lost))
    assert (await api.put(f"/v1/kv/k?acquire={other}", b"1")).json is False
    assert (await api.put(f"/v1/kv/else?acquire={other}", b"1")).json is True
    txn = await api.put("/v1/txn", [{"KV": {"Verb": "lock", "Key": "k", "Session": other}}])
    assert txn.json["Errors"] == [{"OpIndex": 0, "What": 'failed to lock key "k" due to lock delay'}]
    clock: Any = api.agent.clock
    await clock.advance(5.0)
    assert (await api.put(f"/v1/kv/k?acquire={other}", b"1")).json is True
