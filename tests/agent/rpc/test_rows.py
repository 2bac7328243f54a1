from __future__ import annotations

from typing import Any

import pytest
from meshtest.httpapi import instance

from meshagent.agent.rpc import rows as rows_module
from meshagent.agent.rpc.held import Holdings
from meshagent.agent.rpc.messages import Change, Failure
from meshagent.agent.rpc.questions import QUESTIONS, encode_rows
from meshagent.agent.rpc.rows import FLEETING_S, IDLE_S, Rows
from meshagent.catalog.store import Store
from meshagent.clock import VirtualClock
from meshagent.dns.view import NotYet
from meshagent.errors import MeshError, Unavailable


class FakeUpstream:
    """Answers from a store, when it is told to."""

    def __init__(self) -> None:
        self.holdings = Holdings()
        self.age_s = 0.0
        self.store = Store()

    def answer(self) -> None:
        for held in self.holdings:
            value, _ = QUESTIONS[held.question.kind].read(self.store, held.question.target, "me", "dc1")
            body = encode_rows(value)
            if body != held.body or not held.loaded:
                self.holdings.handle([(held.sub, Change(1, 0, self.store.index, body=body))])

    async def first_answer(self, held: Any, timeout_s: float) -> None:
        self.answer()


class Desk:
    def __init__(self) -> None:
        self.upstream = FakeUpstream()
        self.clock = VirtualClock()
        self.rows = Rows(self.upstream, self.clock, max_age_s=60.0)  # type: ignore[arg-type]

    def need(self, name: str, kind: str = "service") -> Any:
        try:
            return self.rows.need(kind, name)[0]
        except NotYet:
            self.upstream.answer()
            return self.rows.need(kind, name)[0]

    def register(self, name: str, **more: Any) -> None:
        self.upstream.store.execute(instance("a", name, **more))
        self.upstream.answer()

    async def pass_time(self, seconds: float) -> None:
        await self.clock.advance(seconds)
        self.rows.sweep()


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_the_first_need_waits(desk: Desk) -> None:
    desk.register("web")
    with pytest.raises(NotYet) as missing:
        desk.rows.need("service", "web")
    await missing.value.ready()
    (entry,), topic = desk.rows.need("service", "web")
    assert entry.service.name == "web"
    told: list[int] = []
    desk.rows.watches.subscribe([topic], lambda: told.append(1))
    desk.register("web", number=1)
    assert told
    assert len(desk.need("web")) == 2
    assert desk.need("web") is desk.need("web")


async def test_an_unknown_name_is_kept_when_it_is_asked_for_again(desk: Desk) -> None:
    assert desk.need("nope") == ()
    await desk.pass_time(FLEETING_S)
    assert len(desk.rows) == 0
    assert desk.need("nope") == ()  # it was seen before
    await desk.pass_time(FLEETING_S)
    assert len(desk.rows) == 1
    desk.register("nope")
    assert len(desk.need("nope")) == 1


async def test_an_unknown_name_is_live_while_it_is_held(desk: Desk) -> None:
    assert desk.need("new") == ()
    desk.register("new")
    assert len(desk.need("new")) == 1
    await desk.pass_time(FLEETING_S)
    assert len(desk.rows) == 1


async def test_random_names_leave_nothing(desk: Desk) -> None:
    for number in range(50):
        assert desk.need(f"random{number}") == ()
    await desk.pass_time(FLEETING_S)
    assert len(desk.rows) == len(desk.upstream.holdings) == 0


async def test_what_is_not_needed_goes_after_a_look_at_who_keeps_it(desk: Desk) -> None:
    desk.register("web")
    desk.need("web")
    told: list[int] = []
    desk.rows.watches.subscribe([("rows", "service web")], lambda: told.append(1))
    await desk.pass_time(IDLE_S)
    assert told
    desk.need("web")  # it was needed after all
    await desk.pass_time(IDLE_S)
    assert len(desk.rows) == 1
    await desk.pass_time(IDLE_S)
    assert len(desk.rows) == len(desk.upstream.holdings) == 0


async def test_what_is_pinned_stays(desk: Desk) -> None:
    topic = desk.rows.pin("node-rows", "a")
    desk.upstream.answer()
    await desk.pass_time(5 * IDLE_S)
    assert desk.rows.need("node-rows", "a")[1] == topic
    desk.rows.unpin("node-rows", "a")
    await desk.pass_time(IDLE_S)
    await desk.pass_time(IDLE_S)
    assert len(desk.rows) == 0


async def test_the_longest_unused_makes_room(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "MAX_ROWS", 2)
    for name in ("a", "b", "c"):
        desk.register(name)
        desk.need(name)
        await desk.clock.advance(1)
    assert {held.question.target for held in desk.upstream.holdings} == {"b", "c"}


async def test_what_is_too_old_is_not_given(desk: Desk) -> None:
    desk.register("web")
    desk.need("web")
    told: list[int] = []
    desk.rows.watches.subscribe([("rows", "service web")], lambda: told.append(1))
    desk.upstream.age_s = 59.0
    desk.rows.sweep()
    assert desk.need("web")
    assert not told
    desk.upstream.age_s = 61.0
    desk.rows.sweep()
    assert told
    with pytest.raises(Unavailable, match="max_stale"):
        desk.rows.need("service", "web")
    desk.upstream.age_s = 0.0
    desk.rows.sweep()
    assert desk.need("web")


async def test_a_refusal_is_raised(desk: Desk) -> None:
    with pytest.raises(NotYet):
        desk.rows.need("service", "web")
    (held,) = desk.upstream.holdings
    desk.upstream.holdings.handle([(held.sub, Failure(6, "denied"))])
    with pytest.raises(MeshError, match="denied"):
        desk.rows.need("service", "web")
