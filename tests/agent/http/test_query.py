"""PQ1-PQ5 over HTTP; the recorded answers are replayed by tests/conformance (prepared-queries)."""

from __future__ import annotations

from typing import Any

import pytest
from meshtest.httpapi import Answer, Api, instance

from meshagent.agent.http.query import ROUTES
from meshagent.catalog import commands
from meshagent.catalog.model import Coordinate, CoordinateRow, Node

UNKNOWN = "11111111-2222-3333-4444-555555555555"
META = {"x-consul-index": "1", "x-consul-knownleader": "false", "x-consul-lastcontact": "0"}


async def create(api: Api, name: str, **more: Any) -> str:
    answer = await api.ask("POST", "/v1/query", {"Name": name, "Service": {"Service": "web"}, **more})
    assert answer.status == 200, answer.text
    query_id: str = answer.json["ID"]
    return query_id


def found(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.text
    return [row["Service"]["ID"] for row in answer.json["Nodes"]]


async def three(api: Api) -> None:
    for number, name in enumerate(("a", "b", "c")):
        await api.write(instance(name, "web", number=number))


def test_every_row_is_built() -> None:
    assert all(route.built and route.example for route in ROUTES)


async def test_pq1_pq2_a_life(api: Api) -> None:
    empty = await api.get("/v1/query")
    assert (empty.json, empty.index) == ([], 1)
    query_id = await create(api, "q", DNS={"TTL": "10s"})
    index = api.agent.store.index
    expected = {
        "ID": query_id, "Name": "q", "Session": "", "Token": "",
        "Template": {"Type": "", "Regexp": "", "RemoveEmptyTags": False},
        "Service": {
            "Service": "web", "SamenessGroup": "", "OnlyPassing": False, "IgnoreCheckIDs": None, "Near": "",
            "Tags": None, "NodeMeta": None, "ServiceMeta": None, "Connect": False, "Peer": "",
            "Failover": {"NearestN": 0, "Datacenters": None, "Targets": None},
        },
        "DNS": {"TTL": "10s"}, "CreateIndex": index, "ModifyIndex": index,
    }  # fmt: skip
    one = await api.get(f"/v1/query/{query_id}")
    assert (one.json, one.index) == ([expected], index)
    assert (await api.get("/v1/query")).json == [expected]
    changed = await api.put(f"/v1/query/{query_id.upper()}", {"ID": "x", "Name": "r", "Service": {"Service": "db"}})
    assert (changed.status, changed.body) == (200, b"")
    row = (await api.get(f"/v1/query/{query_id}")).json[0]
    assert (row["ID"], row["Name"], row["CreateIndex"], row["ModifyIndex"]) == (query_id, "r", index, index + 1)
    gone = await api.ask("DELETE", f"/v1/query/{query_id}")
    assert (gone.status, gone.body) == (200, b"")
    missing = await api.get(f"/v1/query/{query_id}")
    assert (missing.status, missing.text) == (404, "Query not found")
    assert META.items() <= missing.headers.items()
    assert "x-consul-effective-consistency" not in missing.headers


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "text"),
    [
        ("POST", "", {}, 500, "Invalid prepared query: Must be bound to a session"),
        ("POST", "", {"Name": "x"}, 500, "Invalid prepared query: Must provide a Service name to query"),
        ("POST", "", {"ID": UNKNOWN}, 500, "ID must be empty when creating a new prepared query"),
        ("POST", "", {"Foo": 1}, 400, 'Request decode failed: json: unknown field "Foo"'),
        (
            "POST", "", {"Name": "x", "Session": "nope", "Service": {"Service": "w"}}, 500,
            'raft apply failed: invalid session "nope"',
        ),
        (
            "POST", "", {"Name": "x", "Template": {"Type": "zork"}, "Service": {"Service": "w"}}, 500,
            "raft apply failed: failed compiling template: Bad Template.Type 'zork'",
        ),
        (
            "GET", "/nope", b"", 500,
            "failed prepared query lookup: index error: UUID must be 36 characters",
        ),
        (
            "DELETE", "/nope", b"", 500,
            "Prepared Query lookup failed: failed prepared query lookup: index error: UUID must be 36 characters",
        ),
        ("DELETE", f"/{UNKNOWN}", b"", 500, f"Cannot modify non-existent prepared query: '{UNKNOWN}'"),
        ("PUT", f"/{UNKNOWN}", {}, 500, f"Cannot modify non-existent prepared query: '{UNKNOWN}'"),
        ("POST", "?dc=dc9", {"Name": "x"}, 500, "No path to datacenter"),
    ],
)  # fmt: skip
async def test_pq1_pq2_refusals(api: Api, method: str, path: str, body: Any, status: int, text: str) -> None:
    answer = await api.ask(method, f"/v1/query{path}", body)
    assert (answer.status, answer.text) == (status, text)


async def test_pq3_an_execution(api: Api) -> None:
    await three(api)
    query_id = await create(api, "q")
    for name in ("q", "Q", query_id):
        answer = await api.get(f"/v1/query/{name}/execute")
        assert sorted(found(answer)) == ["web0", "web1", "web2"]
        body = answer.json
        row = next(row for row in body.pop("Nodes") if row["Service"]["ID"] == "web0")
        assert (row["Node"]["Node"], row["Service"]["Tags"], row["Checks"][0]["ServiceTags"]) == ("a", None, None)
        assert body == {
            "Service": "web", "DNS": {"TTL": ""}, "Datacenter": "dc1", "PeerName": "", "Failovers": 0, "Index": 1,
            "LastContact": 0, "KnownLeader": True, "ConsistencyLevel": "leader", "NotModified": False, "Backend": 0,
            "ResultsFilteredByACLs": False,
        }  # fmt: skip
        assert answer.index == 1
    stale = await api.get("/v1/query/q/execute?stale")
    assert (stale.json["ConsistencyLevel"], stale.headers["x-consul-effective-consistency"]) == ("stale", "stale")


async def test_pq3_what_is_empty_is_null(api: Api) -> None:
    await api.write(commands.Register(Node(name="a"), instance("a", "web", tags=()).service))
    await create(api, "q")
    (row,) = (await api.get("/v1/query/q/execute")).json["Nodes"]
    assert (row["Service"]["Tags"], row["Checks"]) == (None, None)


async def test_d23_every_execution_is_drawn_anew_and_none_is_kept(api: Api) -> None:
    await three(api)
    await create(api, "q")
    wire = await api.connect()
    orders = {tuple(found(await wire.ask("GET", "/v1/query/q/execute"))) for _ in range(60)}
    assert len(orders) == 6
    assert not api.server.hot.entries
    reads = api.server.dispatcher.reads
    assert (len(reads.views), reads.views.bytes_held) == (0, 0)
    assert len(api.agent.store.watches) == 0


async def test_pq3_cached_answers_stay_until_something_changes(api: Api) -> None:
    await three(api)
    await create(api, "q")
    answers = [await api.get("/v1/query/q/execute?cached") for _ in range(5)]
    assert [answer.headers["x-cache"] for answer in answers] == ["MISS", "HIT", "HIT", "HIT", "HIT"]
    assert len({answer.body for answer in answers}) == 1
    await api.write(instance("a", "web", number=0, status="critical"))
    assert sorted(found(await api.get("/v1/query/q/execute?cached"))) == ["web1", "web2"]


async def test_c22_near(api: Api) -> None:
    await three(api)
    rows = [CoordinateRow(node=n, coord=Coordinate(vec=(d, *[0.0] * 7))) for n, d in zip("abc", (0, 1, 3), strict=True)]
    await api.write(commands.CoordinateBatch(tuple(rows)))
    await create(api, "q", Service={"Service": "web", "Near": "c"})
    await create(api, "ip", Service={"Service": "web", "Near": "_ip"})
    for _ in range(5):
        assert found(await api.get("/v1/query/q/execute")) == ["web2", "web1", "web0"]
        assert found(await api.get("/v1/query/q/execute?near=b&limit=2")) == ["web1", "web0"]
        forwarded = {"X-Forwarded-For": "10.0.0.3, 192.0.2.1"}
        assert found(await api.get("/v1/query/ip/execute", **forwarded)) == ["web2", "web1", "web0"]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("q/execute?limit=x", 'Bad limit: strconv.Atoi: parsing "x": invalid syntax'),
        (f"q/execute?limit={'9' * 20}", f'Bad limit: strconv.Atoi: parsing "{"9" * 20}": value out of range'),
        ("q/execute?connect=zz", "Error parsing 'connect' value: strconv.ParseBool: parsing \"zz\": invalid syntax"),
    ],
)
async def test_pq3_bad_parameters_have_no_meta_headers(api: Api, path: str, text: str) -> None:
    answer = await api.get(f"/v1/query/{path}")
    assert (answer.status, answer.text) == (500, text)
    assert "x-consul-index" not in answer.headers


@pytest.mark.parametrize("suffix", ["execute", "explain"])
async def test_pq3_pq4_unknown_and_methods(api: Api, suffix: str) -> None:
    answer = await api.get(f"/v1/query/nope/{suffix}")
    assert (answer.status, answer.text) == (404, "Query not found")
    assert META.items() <= answer.headers.items()
    wrong = await api.ask("POST", f"/v1/query/nope/{suffix}")
    assert (wrong.status, wrong.headers["allow"]) == (405, "GET")


async def test_pq4_pq5_an_explanation_shows_the_filled_template(api: Api) -> None:
    await create(api, "geo-", Template={"Type": "name_prefix_match"}, Service={"Service": "${name.suffix}"})
    answer = await api.get("/v1/query/geo-web/explain")
    assert answer.json["Query"]["Service"]["Service"] == "web"
    assert (answer.json["KnownLeader"], answer.index) == (True, 1)
