"""EV1, EV2 over HTTP; the recorded answers are replayed by tests/conformance (events)."""

from __future__ import annotations

import asyncio

import pytest
from meshtest.inprocess import InProcess

from meshagent.agent.events import event_index
from meshagent.agent.http.event import ROUTES
from meshagent.ids import is_uuid


def test_every_row_is_built() -> None:
    assert all(route.built and route.example for route in ROUTES)


async def test_ev1_ev2_fire_and_list(live: InProcess) -> None:
    empty = await live.ask("GET", "/v1/event/list")
    assert (empty.json, empty.headers["x-consul-index"]) == ([], "1")
    fired = await live.ask("PUT", "/v1/event/fire/de%2Fploy?node=n1", body=b"v1.2")
    body = fired.json
    assert is_uuid(body["ID"])
    assert body == {
        "ID": body["ID"], "Name": "de/ploy", "Payload": "djEuMg==", "NodeFilter": "n1", "ServiceFilter": "",
        "TagFilter": "", "Version": 1, "LTime": 0,
    }  # fmt: skip
    await live.ask("PUT", "/v1/event/fire/other?node=elsewhere")
    plain = (await live.ask("PUT", "/v1/event/fire/plain")).json
    assert plain["Payload"] is None
    await live.settle()
    listed = await live.ask("GET", "/v1/event/list")
    assert [(event["Name"], event["LTime"]) for event in listed.json] == [("de/ploy", 1), ("plain", 3)]
    assert listed.headers["x-consul-index"] == str(event_index(plain["ID"]))
    assert "x-consul-knownleader" not in listed.headers
    named = await live.ask("GET", "/v1/event/list?name=de/ploy&node=zz")
    assert [event["ID"] for event in named.json] == [body["ID"]]
    assert named.headers["x-consul-index"] == str(event_index(body["ID"]))


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("", b"", 400, "Missing name"),
        ("x?tag=t", b"p", 500, "Cannot provide tag filter without service filter"),
        ("x?node=(", b"p", 500, "Invalid node filter: error parsing regexp: missing closing ): `(`"),
        ("x?dc=dc9", b"p", 500, "No path to datacenter"),
        (
            "x", b"p" * 2000, 500,
            "error broadcasting event: user event exceeds configured limit of 512 bytes before encoding",
        ),
    ],
)  # fmt: skip
async def test_ev1_refusals(live: InProcess, path: str, body: bytes, status: int, text: str) -> None:
    answer = await live.ask("PUT", f"/v1/event/fire/{path}", body=body)
    assert (answer.status, answer.text) == (status, text)
    assert (await live.ask("GET", "/v1/event/list")).json == []


async def test_ev2_a_read_waits_while_the_index_is_the_same(live: InProcess) -> None:
    await live.ask("PUT", "/v1/event/fire/a")
    await live.settle()
    index = (await live.ask("GET", "/v1/event/list")).headers["x-consul-index"]
    assert len((await live.ask("GET", f"/v1/event/list?index={int(index) + 1}")).json) == 1  # no order: any other
    asking = asyncio.ensure_future(live.ask("GET", f"/v1/event/list?index={index}&wait=1m"))
    await live.settle()
    assert not asking.done()
    await live.ask("PUT", "/v1/event/fire/b")
    answer = await asyncio.wait_for(asking, 5)
    assert [event["Name"] for event in answer.json] == ["a", "b"]


async def test_ev2_a_wait_ends(live: InProcess) -> None:
    asking = asyncio.ensure_future(live.ask("GET", "/v1/event/list?index=1&wait=10s"))
    await live.settle()
    await live.clock.advance(9.9)
    assert not asking.done()
    await live.clock.advance(1.0)
    answer = await asyncio.wait_for(asking, 5)
    assert (answer.json, answer.headers["x-consul-index"]) == ([], "1")
