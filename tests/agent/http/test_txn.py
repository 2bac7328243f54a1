from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from meshtest.httpapi import Answer, Api

from meshagent.agent.http.txn import MAX_OPS
from meshagent.catalog.commands import KVSet
from meshagent.errors import NoLeader

META = {
    "LastContact": 0, "KnownLeader": True, "ConsistencyLevel": "", "NotModified": False, "Backend": 0,
    "ResultsFilteredByACLs": False,
}  # fmt: skip


async def txn(api: Api, *ops: Any, query: str = "") -> Answer:
    return await api.put(f"/v1/txn{query}", list(ops))


def kv(verb: str, key: str = "", value: str | None = None, **more: Any) -> dict[str, Any]:
    encoded = {} if value is None else {"Value": base64.b64encode(value.encode()).decode()}
    return {"KV": {"Verb": verb, "Key": key, **encoded, **more}}


def problems(answer: Answer) -> list[tuple[int, str]]:
    assert answer.status == 409
    assert answer.json["Results"] is None
    return [(row["OpIndex"], row["What"]) for row in answer.json["Errors"]]


async def test_tx1_a_write_goes_through_the_log(api: Api) -> None:
    before = api.agent.store.index
    answer = await txn(api, kv("set", "a", "1", Flags=2**64 - 1), kv("get", "a"))
    index = api.agent.store.index
    assert index == before + 1
    row = {"LockIndex": 0, "Key": "a", "Flags": 2**64 - 1, "CreateIndex": index, "ModifyIndex": index}
    assert answer.json == {
        "Results": [{"KV": {**row, "Value": None}}, {"KV": {**row, "Value": "MQ=="}}],
        "Errors": None,
    }
    assert "x-consul-knownleader" not in answer.headers


async def test_tx1_a_read_does_not_and_says_how_it_was_read(api: Api) -> None:
    await api.write(KVSet("a", b"1"))
    index = api.agent.store.index
    answer = await txn(api, kv("get", "a"), kv("get-tree", "none"), kv("check-not-exists", "b"))
    assert answer.status == 200
    assert answer.json == {
        "Results": [
            {
                "KV": {
                    "LockIndex": 0, "Key": "a", "Flags": 0, "Value": "MQ==", "CreateIndex": index, "ModifyIndex": index
                }
            }
        ],
        "Errors": None, "Index": index, **META,
    }  # fmt: skip
    assert answer.headers["x-consul-knownleader"] == "true"
    assert answer.headers["x-consul-lastcontact"] == "0"
    assert api.agent.store.index == index


@pytest.mark.parametrize("body", [b"[]", b"[{}]", b'[{"KV":null}]'])
async def test_tx1_nothing_to_do_is_a_read(api: Api, body: bytes) -> None:
    answer = await api.put("/v1/txn", body)
    assert answer.json == {"Results": [], "Errors": None, "Index": api.agent.store.index, **META}


async def test_tx1_refused_reads_have_the_meta_too(api: Api) -> None:
    answer = await txn(api, kv("get", "none"))
    assert problems(answer) == [(0, 'key "none" doesn\'t exist')]
    assert answer.json["KnownLeader"] is True
    refused_before = await txn(api, kv("bogus", "x"), kv("get"))
    assert problems(refused_before) == [(0, "unknown KV operation: bogus"), (1, "Must provide key")]
    assert (refused_before.json["Index"], refused_before.json["KnownLeader"]) == (0, False)
    assert refused_before.headers["x-consul-knownleader"] == "false"


async def test_tx1_all_or_nothing(api: Api) -> None:
    answer = await txn(
        api,
        {"Node": {"Verb": "set", "Node": {"Node": "mix", "Address": "::1"}}},
        kv("set", "a", "1"),
        kv("get", "none"),
        kv("check-index", "a", Index=1),
    )
    assert [place for place, _ in problems(answer)] == [2, 3]
    assert set(answer.json) == {"Results", "Errors"}
    assert (await api.get("/v1/kv/a")).status == 404
    assert (await api.get("/v1/catalog/node/mix")).json is None


@pytest.mark.parametrize(
    ("op", "text"),
    [
        (kv("set", "", "x"), "Must provide key"),
        ({"Node": {"Verb": "set", "Node": {"Address": "::1"}}}, "Must provide node"),
        ({"Node": {"Verb": "set", "Node": {"Node": "a", "ID": "x"}}}, "Bad node ID: uuid string is wrong length"),
        ({"Node": {"Verb": "bogus", "Node": {"Node": "a"}}}, "unknown node operation: bogus"),
        (
            {"Service": {"Verb": "delete", "Node": "a", "Service": {"ID": "x"}}},
            "Must provide service name (Service.Service) when service ID is provided",
        ),
        ({"Service": {"Verb": "set", "Node": "a", "Service": {}}}, "Must provide service name"),
        ({"Service": {"Verb": "bogus", "Node": "a", "Service": {"ID": "x"}}}, "unknown service operation: bogus"),
        ({"Check": {"Verb": "set", "Check": {"Node": "a", "CheckID": "x"}}}, "Missing node registration"),
    ],
)
async def test_tx2_tx3_refusals(api: Api, op: Any, text: str) -> None:
    answer = await txn(api, op)
    assert problems(answer) == [(0, text)]
    assert set(answer.json) == {"Results", "Errors"}


async def test_tx3_nodes_services_and_checks(api: Api) -> None:
    answer = await txn(
        api,
        {"Node": {"Verb": "set", "Node": {"Node": "n", "Address": "10.0.0.9", "Meta": {"m": "1"}}}},
        {"Service": {"Verb": "set", "Node": "n", "Service": {"Service": "web", "Port": 80}}},
        {"Check": {"Verb": "set", "Check": {"Node": "n", "Name": "c", "Definition": {"TCP": "x", "Interval": "90s"}}}},
    )
    index = api.agent.store.index
    at = {"CreateIndex": index, "ModifyIndex": index}
    assert answer.status == 200
    node, service, check = answer.json["Results"]
    assert node == {
        "Node": {
            "ID": "", "Node": "n", "Address": "10.0.0.9", "Datacenter": "dc1", "TaggedAddresses": None,
            "Meta": {"m": "1"}, **at,
        }
    }  # fmt: skip
    assert service["Service"]["ID"] == "web"
    assert service["Service"]["Tags"] is None
    assert service["Service"]["Weights"] == {"Passing": 1, "Warning": 1}
    assert check["Check"]["CheckID"] == "c"
    assert check["Check"]["Status"] == "critical"
    assert check["Check"]["Type"] == ""
    assert check["Check"]["ServiceTags"] is None
    assert check["Check"]["Definition"] == {"Interval": "1m30s", "TCP": "x"}
    found = await txn(
        api,
        {"Node": {"Verb": "get", "Node": {"Node": "n"}}},
        {"Service": {"Verb": "get", "Node": "n", "Service": {"ID": "web"}}},
        {"Check": {"Verb": "get", "Check": {"Node": "n", "CheckID": "c"}}},
    )
    assert found.json["Results"] == [node, service, check]


async def test_tx3_compare_with_the_index_given(api: Api) -> None:
    await txn(api, {"Node": {"Verb": "set", "Node": {"Node": "n"}}})
    await txn(api, {"Service": {"Verb": "set", "Node": "n", "Service": {"Service": "web"}}})
    index = api.agent.store.index

    def cas(at: int) -> Any:
        return {"Service": {"Verb": "cas", "Node": "n", "Service": {"Service": "web", "Port": 1, "ModifyIndex": at}}}

    assert problems(await txn(api, cas(index - 1))) == [(0, 'failed to set service "web" on node "n", index is stale')]
    assert (await txn(api, cas(index))).status == 200


@pytest.mark.parametrize(("weights", "stored"), [({}, (1, 1)), ({"Passing": 5}, (5, 0)), ({"Warning": 5}, (1, 1))])
async def test_tx3_weights_that_cannot_be_are_the_default(api: Api, weights: Any, stored: tuple[int, int]) -> None:
    service = {"Service": "web", "Weights": weights}
    answer = await txn(
        api,
        {"Node": {"Verb": "set", "Node": {"Node": "n"}}},
        {"Service": {"Verb": "set", "Node": "n", "Service": service}},
    )
    given = answer.json["Results"][1]["Service"]["Weights"]
    assert (given["Passing"], given["Warning"]) == stored


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (b"nope", 400, "Failed to parse body: invalid character 'o' in literal null (expecting 'u')"),
        (b"", 400, "Failed to parse body: EOF"),
        (b"{}", 400, "Failed to parse body: json: cannot unmarshal object into Go value of type api.TxnOps"),
        (b'[{"Session":{}}]', 400, 'Failed to parse body: json: unknown field "Session"'),
        (b'[{"KV":{"Foo":1}}]', 400, 'Failed to parse body: json: unknown field "Foo"'),
        (b'[{"KV":{"Value":"not base64!"}}]', 400, "Failed to parse body: illegal base64 data at input byte 3"),
        (
            b'[{"KV":{"Index":-1}}]', 400,
            "Failed to parse body: json: cannot unmarshal number -1 into Go struct field TxnKVOp.KV.Index "
            "of type uint64",
        ),
        (b"[" + b",".join([b"{}"] * 129) + b"]", 413, "Transaction contains too many operations (129 > 128)"),
    ],
)  # fmt: skip
async def test_tx1_bodies_that_are_refused(api: Api, body: bytes, status: int, text: str) -> None:
    answer = await api.put("/v1/txn", body)
    assert (answer.status, answer.text) == (status, text)


async def test_tx1_limits(api: Api) -> None:
    assert (await txn(api, *[kv("set", str(at), "") for at in range(MAX_OPS)])).status == 200
    api.agent.config.limits.kv_max_value_size = 4
    answer = await txn(api, kv("set", "fits", "1234"), kv("set", "k0", "12345"))
    assert (answer.status, answer.text) == (413, 'Value for key "k0" is too large (5 > 4 bytes)')
    assert (await api.get("/v1/kv/fits")).status == 404


async def test_c15_consistency_of_reads(api: Api) -> None:
    log: Any = api.agent.log
    assert (await txn(api, kv("get-tree", "x"), query="?consistent")).status == 200
    assert log.barriers == 1
    both = await txn(api, kv("get-tree", "x"), query="?stale&consistent")
    assert (both.status, both.text) == (400, "Cannot specify ?stale with ?consistent, conflicting semantics.")
    log.leading = False
    stale = await txn(api, kv("get-tree", "x"), query="?stale")
    assert (stale.status, stale.json["KnownLeader"]) == (200, False)


async def test_c5_without_a_leader(api: Api) -> None:
    log: Any = api.agent.log
    log.refuse = NoLeader()
    answer = await txn(api, kv("set", "a", "1"))
    assert (answer.status, answer.text) == (500, "No cluster leader")
    elsewhere = await txn(api, kv("get", "a"), query="?dc=dc9")
    assert (elsewhere.status, elsewhere.text) == (500, "No path to datacenter")


async def test_c7_keys_match_without_case(api: Api) -> None:
    body = json.dumps([{"kv": {"verb": "set", "key": "lower", "value": "bA=="}}]).encode()
    assert (await api.put("/v1/txn", body)).status == 200
    assert (await api.get("/v1/kv/lower?raw")).text == "l"
