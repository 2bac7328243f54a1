from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from meshtest.httpapi import instance

from meshagent.agent.core import Agent
from meshagent.agent.http.request import Query, Request
from meshagent.agent.http.response import Response
from meshagent.agent.http.routes import Route
from meshagent.agent.http.views import LiveResult, Views
from meshagent.catalog import commands, queries
from meshagent.catalog.queries import Result
from meshagent.errors import BadRequest


class Counting:
    """A route that counts its runs."""

    def __init__(self, read: Any = None) -> None:
        self.runs = 0
        self._read = read or (lambda agent, request: queries.health_service(agent.store, request.name))
        self.route = Route(row="X", method="GET", path="/v1/x/", summary="x", read=self.read, encode=self.encode)

    def read(self, agent: Agent, request: Request) -> Result[Any]:
        self.runs += 1
        result: Result[Any] = self._read(agent, request)
        return result

    def encode(self, rows: Any, request: Request) -> bytes:
        return json.dumps(len(rows) if rows is not None else None).encode()


def ask(name: str, query: str = "", remote: str = "127.0.0.1") -> Request:
    return Request("GET", f"/v1/x/{name}", Query(query), name=name, remote=remote)


def write(agent: Agent, command: commands.Command) -> None:
    agent.store.execute(command)
    agent.store.flush()


def test_a_question_is_read_once_until_its_topic_fires(agent: Agent) -> None:
    counting, views = Counting(), Views(agent)
    write(agent, instance("a", "web"))
    first = views.get(counting.route, ask("web"))
    assert first.body == b"1"
    assert views.get(counting.route, ask("web")) is first
    write(agent, instance("a", "other"))
    write(agent, commands.KVSet("k", b"v"))
    assert first.fresh
    assert counting.runs == 1
    write(agent, instance("b", "web", number=1))
    assert not first.fresh
    assert first.body == b""
    assert views.get(counting.route, ask("web")).body == b"2"
    assert counting.runs == 2


def test_parameters_that_matter_make_questions_of_their_own(agent: Agent) -> None:
    counting, views = Counting(), Views(agent)
    one = views.get(counting.route, ask("web", "stale&index=5&wait=1s&pretty&token=a"))
    assert views.get(counting.route, ask("web")) is not None
    assert views.get(counting.route, ask("web", "consistent")) is one
    assert views.get(counting.route, ask("web", "tag=a")) is not one
    assert views.get(counting.route, ask("web", "tag=a&tag=b")) is not views.get(counting.route, ask("web", "tag=b"))
    near = views.get(counting.route, ask("web", "near=_ip"))
    assert views.get(counting.route, ask("web", "near=_ip", remote="10.0.0.1")) is not near
    assert views.get(counting.route, ask("web", "near=_ip")) is near


def test_a_kept_question_holds_no_secret(agent: Agent) -> None:
    view = Views(agent).get(Counting().route, ask("web", "token=secret&tag=a"))
    assert "secret" not in view.request.query.raw
    assert view.request.query.get("tag") == "a"
    assert view.request.token == ""
    assert view.request.headers == {}


def test_c11_live_index_moves_while_rows_stay(agent: Agent) -> None:
    def read(agent: Agent, request: Request) -> Result[Any]:
        found = queries.kv_get(agent.store, request.name)
        return LiveResult(found.rows, found.index, found.topics, lambda: agent.store.kv.index)

    counting, views = Counting(read), Views(agent)
    view = views.get(counting.route, ask("missing"))
    assert view.moving
    assert view.index == 1
    write(agent, commands.KVSet("a", b"1"))
    write(agent, commands.KVSet("b", b"1"))
    assert (view.fresh, view.index, counting.runs) == (True, agent.store.index, 1)


async def test_one_change_one_run_for_all_waiters(agent: Agent) -> None:
    counting, views = Counting(), Views(agent)
    write(agent, instance("a", "web"))
    view = views.get(counting.route, ask("web"))
    waiting = [asyncio.ensure_future(view.changed_from(view.index, 60)) for _ in range(50)]
    await asyncio.sleep(0)
    write(agent, instance("b", "web", number=1))
    write(agent, instance("c", "web", number=2))
    await asyncio.wait_for(asyncio.gather(*waiting), 5)
    assert counting.runs == 2
    assert view.body == b"3"
    assert not view.awaited


async def test_c12_an_unrelated_change_wakes_nobody(agent: Agent) -> None:
    counting, views = Counting(), Views(agent)
    write(agent, instance("a", "web"))
    view = views.get(counting.route, ask("web"))
    waiting = asyncio.ensure_future(view.changed_from(view.index, 60))
    await asyncio.sleep(0)
    write(agent, instance("a", "other"))
    write(agent, commands.KVSet("k", b"v"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    assert counting.runs == 1
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not view.awaited


async def test_c12_a_future_index_waits_past_changes_until_the_end(agent: Agent) -> None:
    counting, views = Counting(), Views(agent)
    write(agent, instance("a", "web"))
    view = views.get(counting.route, ask("web"))
    waiting = asyncio.ensure_future(view.changed_from(10_000, 0.05))
    await asyncio.sleep(0)
    write(agent, instance("b", "web", number=1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    await asyncio.wait_for(waiting, 5)
    assert view.body == b"2"


async def test_an_error_after_a_change_reaches_every_waiter(agent: Agent) -> None:
    broken: list[bool] = []

    def read(agent: Agent, request: Request) -> Result[Any]:
        if broken:
            raise BadRequest("no longer")
        return queries.health_service(agent.store, request.name)

    views = Views(agent)
    write(agent, instance("a", "web"))
    view = views.get(Counting(read).route, ask("web"))
    waiting = [asyncio.ensure_future(view.changed_from(view.index, 60)) for _ in range(3)]
    await asyncio.sleep(0)
    broken.append(True)
    write(agent, instance("b", "web", number=1))
    results = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 5)
    assert [str(result) for result in results] == ["no longer"] * 3


def test_forms_are_made_once_and_dropped_with_the_body(agent: Agent) -> None:
    def encode(rows: Any, request: Request) -> bytes:
        return json.dumps(["x" * 2000, len(rows)]).encode()

    route = Route(
        row="X", method="GET", path="/v1/x/", summary="x", encode=encode,
        read=lambda agent, request: queries.health_service(agent.store, request.name),
    )  # fmt: skip
    views = Views(agent)
    view = views.get(route, ask("web"))
    packed, gzipped = view.encoded(pretty=False, gzip=True)
    assert gzipped
    assert view.encoded(pretty=False, gzip=True)[0] is packed
    pretty, _ = view.encoded(pretty=True, gzip=False)
    assert pretty.startswith(b'[\n    "xxx')
    assert pretty.endswith(b"]\n")
    assert view.encoded(pretty=True, gzip=True)[1]
    assert views.bytes_held == view.size > len(view.body) + len(packed) + len(pretty)
    write(agent, instance("a", "web"))
    assert views.bytes_held == 0


def test_encoders_may_answer_with_another_status(agent: Agent) -> None:
    route = Route(
        row="X", method="GET", path="/v1/x/", summary="x",
        encode=lambda rows, request: Response(404, content_type=None),
        read=lambda agent, request: queries.health_service(agent.store, request.name),
    )  # fmt: skip
    view = Views(agent).get(route, ask("web"))
    assert (view.status, view.content_type, view.encoded(pretty=True, gzip=True)) == (404, None, (b"", False))


def test_bounds_drop_what_was_not_used(agent: Agent) -> None:
    forgotten = []
    views = Views(agent, max_views=3)
    views.on_forget = forgotten.append
    route = Counting().route
    kept = views.get(route, ask("a"))
    for name in "bcdef":
        views.get(route, ask("a"))
        views.get(route, ask(name))
    assert len(views) == 3
    assert views.get(route, ask("a")) is kept
    assert len(forgotten) == 3
    assert not any(view.fresh for view in forgotten)
    views.clear()
    assert len(views) == 0
    assert views.bytes_held == 0
    assert len(agent.store.watches) == 0


async def test_a_forgotten_view_still_wakes_its_waiters(agent: Agent) -> None:
    views = Views(agent)
    write(agent, instance("a", "web"))
    view = views.get(Counting().route, ask("web"))
    waiting = asyncio.ensure_future(view.changed_from(view.index, 60))
    await asyncio.sleep(0)
    views.clear()
    write(agent, instance("b", "web", number=1))
    await asyncio.wait_for(waiting, 5)
    assert view.body == b"2"
