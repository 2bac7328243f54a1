"""serf's layer: a real serf agent and our pools, each in the other's (surface rows S40 to S52).

Members, tags, events, queries with relays, keys, leaving, forcing, rejoining from snapshots.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from meshtest.process import free_ports
from meshtest.serfpeer import SerfAgent, serf_agent

from meshagent.agent.gossip.key_queries import INSTALL, LIST, REMOVE, USE
from meshagent.agent.gossip.keyring import Keyring, encode_key, format_ring, parse_ring
from meshagent.agent.gossip.member import Member, Status
from meshagent.agent.gossip.pool import Pool, PoolSettings
from meshagent.agent.gossip.query_filters import encode_tag_filter
from meshagent.agent.gossip.serf_messages import Event, Query
from meshagent.agent.gossip.serf_settings import SerfSettings
from meshagent.agent.gossip.settings import LOCAL
from meshagent.agent.gossip.snapshot_file import read_snapshot
from meshagent.agent.gossip.snapshot_log import Replayed
from meshagent.clock import SystemClock
from meshagent.metrics import Metrics

pytestmark = pytest.mark.timeout(300)
KEY, NEXT = bytes(range(32)), bytes(range(7, 39))


class Ours:
    """One of our pools, with a serf agent's timers."""

    def __init__(
        self, name: str, *, keys: tuple[bytes, ...] = (), snapshot: Path | None = None, port: int = 0, **tags: str
    ) -> None:
        self.name = name
        self.address = ("127.0.0.1", port or free_ports(["gossip"])["gossip"])
        settings = PoolSettings(
            name=name,
            bind=self.address,
            advertise=self.address,
            option="ports.serf_lan",
            gossip=replace(LOCAL, reclaim_s=0),
            serf=SerfSettings(gossip_interval_s=0.1, retransmit_mult=2, reconnect_interval_s=1.0),
            snapshot_path=snapshot,
        )
        self.pool = Pool(
            settings,
            tags=tags or {"role": "ours"},
            ring=Keyring(keys),
            remembered=read_snapshot(snapshot, rejoin_after_leave=False) if snapshot else Replayed(),
            gate=None,
            clock=SystemClock(),
            rng=random.Random(name),
            metrics=Metrics(),
        )
        self.changes: list[tuple[str, Member]] = []
        self.events: list[Event] = []
        self.pool.on_change.append(lambda kind, member: self.changes.append((kind, member)))
        self.pool.on_event.append(self.events.append)
        self.pool.on_query.append(self._answer)
        self.asked: list[Query] = []

    def _answer(self, query: Query, _deadline: float) -> None:
        self.asked.append(query)
        self.pool.respond(query, f"{self.name} says {(query.payload or b'').decode()}".encode())

    def statuses(self) -> dict[str, Status]:
        return {member.name: Status(member.status) for member in self.pool.members()}

    @property
    def join_flag(self) -> str:
        return f"-join=127.0.0.1:{self.address[1]}"


Make = Callable[..., Any]


@pytest.fixture
async def ours() -> AsyncIterator[Make]:
    async with AsyncExitStack() as stack:

        async def make(name: str = "ours", **options: Any) -> Ours:
            one = Ours(name, **options)
            stack.push_async_callback(one.pool.stop)
            await one.pool.start()
            return one

        yield make


@pytest.fixture
async def serf(tmp_path: Path) -> AsyncIterator[Make]:
    with ExitStack() as stack:

        async def make(name: str, *flags: str, **more: Any) -> SerfAgent:
            """In a thread: it waits for the agent, which may want to talk to us meanwhile."""
            return await asyncio.to_thread(lambda: stack.enter_context(serf_agent(tmp_path, name, *flags, **more)))

        yield make


async def until(what: Callable[[], object], seconds: float = 120) -> None:
    async with asyncio.timeout(seconds):
        while not what():
            await asyncio.sleep(0.02)


async def sees(agent: SerfAgent, **members: str) -> None:
    async with asyncio.timeout(120):
        while (await asyncio.to_thread(agent.members)) != members:
            await asyncio.sleep(0.1)


async def ask(agent: SerfAgent, *words: str) -> str:
    return await asyncio.to_thread(agent.ask, *words)


async def test_tags_and_their_changes_are_seen_both_ways(ours: Make, serf: Make) -> None:
    we = await ours(role="ours", v="1")
    agent = await serf("real", we.join_flag, "-tag=role=db")
    await sees(agent, real="alive", ours="alive")
    assert await asyncio.to_thread(agent.tags, "ours") == {"role": "ours", "v": "1"}
    member = next(member for member in we.pool.members() if member.name == "real")
    assert (member.tags, member.port, member.status) == ({"role": "db"}, agent.port, Status.ALIVE)
    we.pool.set_tags({"v": "2"})
    await ask(agent, "tags", "-set", "color=red", "-delete", "role")
    await until(lambda: next(m for m in we.pool.members() if m.name == "real").tags == {"color": "red"})
    async with asyncio.timeout(20):
        while await asyncio.to_thread(agent.tags, "ours") != {"v": "2"}:
            await asyncio.sleep(0.1)
    assert [kind for kind, member in we.changes if member.name == "real"] == ["member-join", "member-update"]


async def test_events_travel_both_ways_and_once(ours: Make, serf: Make, tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    we = await ours()
    agent = await serf(
        "real", we.join_flag, f"-event-handler=user=(echo $SERF_USER_EVENT $SERF_USER_LTIME; cat; echo) >> {heard}"
    )
    await sees(agent, real="alive", ours="alive")
    await ask(agent, "event", "-coalesce=false", "deploy", "v1.2.3")
    await until(lambda: we.events)
    assert we.events == [Event(1, "deploy", b"v1.2.3", False)]
    we.pool.user_event("restart", b"now")
    await until(lambda: heard.exists() and "restart" in heard.read_text())
    assert heard.read_text().split() == ["deploy", "1", "v1.2.3", "restart", "2", "now"]
    assert [event.name for event in we.events] == ["deploy", "restart"]


async def test_queries_of_serf_are_acked_and_answered(ours: Make, serf: Make) -> None:
    we, other = await ours(), await ours("other", role="cache")
    agent = await serf("real", we.join_flag)
    await other.pool.join(we.address)
    await sees(agent, real="alive", ours="alive", other="alive")
    answer = json.loads(await ask(agent, "query", "-format=json", "-timeout=2s", "load", "hi"))
    assert sorted(answer["Acks"]) == ["other", "ours", "real"]
    assert answer["Responses"] == {"ours": "ours says hi", "other": "other says hi"}
    for flag, who in (("-node=ours", "ours"), ("-tag=role=^cac", "other")):
        answer = json.loads(await ask(agent, "query", "-format=json", "-timeout=1s", flag, "load", "hi"))
        assert (answer["Acks"], list(answer["Responses"])) == ([who], [who])
    relayed = json.loads(await ask(agent, "query", "-format=json", "-timeout=2s", "-relay-factor=2", "load", "hi"))
    assert sorted(relayed["Responses"]) == ["other", "ours"]
    assert we.asked[0].source_node == "real"
    assert "Successfully" in await ask(agent, "reachability")


async def test_serf_answers_our_queries(ours: Make, serf: Make) -> None:
    we = await ours()
    agent = await serf("real", we.join_flag, "-tag=role=db", "-event-handler=query:load=cat")
    await sees(agent, real="alive", ours="alive")
    result = await we.pool.query("load", b"hello", ack=True)
    assert sorted(result.acks) == ["ours", "real"]
    assert result.responses == {"ours": b"ours says hello", "real": b"hello\n"}
    only = await we.pool.query("load", b"x", ack=True, filters=[encode_tag_filter("role", "^db$")], timeout_s=1.0)
    assert (only.acks, only.responses) == (("real",), {"real": b"x\n"})
    relayed = await we.pool.query("load", b"y", ack=True, relay_factor=1)
    assert relayed.responses["real"] == b"y\n"


@pytest.mark.parametrize("by", ["serf", "us"])
async def test_a_key_is_changed_without_a_gap(ours: Make, serf: Make, tmp_path: Path, by: str) -> None:
    ring = tmp_path / "ring"
    ring.write_bytes(format_ring([KEY]))
    we, other = await ours(keys=(KEY,)), await ours("other", keys=(KEY,))
    agent = await serf("real", we.join_flag, f"-keyring-file={ring}")
    await other.pool.join(we.address)
    await sees(agent, real="alive", ours="alive", other="alive")
    everybody = dict.fromkeys(("real", "ours", "other"), Status.ALIVE)
    for word, name, key in (("install", INSTALL, NEXT), ("use", USE, NEXT), ("remove", REMOVE, KEY)):
        if by == "serf":
            assert "Success" in await ask(agent, "keys", f"-{word}={encode_key(key)}")
        else:
            report = await we.pool.key_query(name, key)
            assert (report.problem, report.responses) == (None, 3)
        assert we.statuses() == other.statuses() == everybody
    assert we.pool.ring.keys == other.pool.ring.keys == parse_ring(ring.read_bytes()) == (NEXT,)
    listed = await ask(agent, "keys", "-list")
    assert f"{encode_key(NEXT)}  [3/3]" in listed
    report = await we.pool.key_query(LIST)
    assert (report.keys, report.primary_keys) == ({encode_key(NEXT): 3}, {encode_key(NEXT): 3})
    late = await ours("late", keys=(NEXT,))
    await late.pool.join(agent.address)
    await sees(agent, real="alive", ours="alive", other="alive", late="alive")


async def test_refusals_about_keys_are_told_both_ways(ours: Make, serf: Make, tmp_path: Path) -> None:
    ring = tmp_path / "ring"
    ring.write_bytes(format_ring([KEY]))
    we = await ours(keys=(KEY,))
    agent = await serf("real", we.join_flag, f"-keyring-file={ring}")
    await sees(agent, real="alive", ours="alive")
    report = await we.pool.key_query(REMOVE, KEY)
    assert report.problem == "2/2 nodes reported failure"
    assert set(report.messages.values()) == {"Removing the primary key is not allowed"}
    with pytest.raises(AssertionError, match="Requested key is not in the keyring"):
        await ask(agent, "keys", f"-use={encode_key(NEXT)}")


async def test_leaving_both_ways(ours: Make, serf: Make) -> None:
    we, other = await ours(), await ours("other")
    agent = await serf("real", we.join_flag)
    second = await serf("second", we.join_flag)
    await other.pool.join(we.address)
    await sees(agent, real="alive", second="alive", ours="alive", other="alive")
    await other.pool.leave()
    await other.pool.stop()
    await sees(agent, real="alive", second="alive", ours="alive", other="left")
    await ask(second, "leave")
    await until(lambda: we.statuses()["second"] is Status.LEFT)
    assert [kind for kind, member in we.changes if member.name == "second"] == ["member-join", "member-leave"]


async def test_failing_forcing_and_pruning_both_ways(ours: Make, serf: Make) -> None:
    we = await ours()
    agent = await serf("real", we.join_flag)
    second = await serf("second", we.join_flag)
    third = await ours("third")
    await third.pool.join(we.address)
    await sees(agent, real="alive", second="alive", ours="alive", third="alive")
    os.kill(second.process.process.pid, signal.SIGKILL)
    await third.pool.stop()
    await until(lambda: we.statuses()["second"] is we.statuses()["third"] is Status.FAILED)
    await sees(agent, real="alive", second="failed", ours="alive", third="failed")
    we.pool.force_leave("second", prune=False)
    await ask(agent, "force-leave", "third")
    await until(lambda: we.statuses()["second"] is we.statuses()["third"] is Status.LEFT)
    await sees(agent, real="alive", second="left", ours="alive", third="left")
    # An intent to prune is told four times, to the dead as well, and full exchanges do not repeat it: when chance sends
    # all four to the dead it is lost. Who prunes looks, and asks again.
    async with asyncio.timeout(120):
        while set(we.statuses()) != {"real", "ours"} or set(await asyncio.to_thread(agent.members)) != {"real", "ours"}:
            we.pool.force_leave("second", prune=True)
            await ask(agent, "force-leave", "-prune", "third")
            await asyncio.sleep(1)
    await sees(agent, real="alive", ours="alive")
    assert [kind for kind, member in we.changes if member.name == "third"] == [
        "member-join", "member-failed", "member-leave", "member-reap",
    ]  # fmt: skip


async def test_one_that_lives_is_not_forced_out_by_either(ours: Make, serf: Make) -> None:
    """With a third: serf tells nobody when all others seem to leave."""
    we, other = await ours(), await ours("other")
    agent = await serf("real", we.join_flag)
    await other.pool.join(we.address)
    await sees(agent, real="alive", ours="alive", other="alive")
    await ask(agent, "force-leave", "ours")
    we.pool.force_leave("real", prune=False)
    assert we.statuses()["real"] is Status.LEAVING
    await until(lambda: set(we.statuses().values()) == set(other.statuses().values()) == {Status.ALIVE})
    await sees(agent, real="alive", ours="alive", other="alive")


async def test_we_rejoin_from_our_snapshot_and_from_one_of_serf(ours: Make, serf: Make, tmp_path: Path) -> None:
    agent = await serf("real")
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    we = await ours(snapshot=mine)
    await we.pool.join(agent.address)
    await sees(agent, real="alive", ours="alive")
    await until(lambda: mine.exists() and b"alive: real " in mine.read_bytes())
    await we.pool.stop()
    await sees(agent, real="alive", ours="failed")
    again = await ours(snapshot=mine, port=we.address[1])
    await sees(agent, real="alive", ours="alive")
    await until(lambda: again.statuses() == {"real": Status.ALIVE, "ours": Status.ALIVE})
    old = await serf("moving", f"-snapshot={theirs}", f"-join=127.0.0.1:{agent.port}")
    await sees(old, real="alive", ours="alive", moving="alive")
    os.kill(old.process.process.pid, signal.SIGTERM)  # it writes its snapshot when it ends, or at the next event
    await until(lambda: theirs.exists() and b"alive: real " in theirs.read_bytes())
    await sees(agent, real="alive", ours="alive", moving="failed")
    moved = await ours("moving", snapshot=theirs, port=old.port)
    await sees(agent, real="alive", ours="alive", moving="alive")
    assert moved.pool.serf.clock.time > 1


async def test_serf_rejoins_us_from_its_snapshot_and_from_one_of_ours(ours: Make, serf: Make, tmp_path: Path) -> None:
    snapshot = tmp_path / "snapshot"
    we = await ours()
    with contextlib.ExitStack() as first:
        folder = tmp_path / "first"
        folder.mkdir()
        old = await asyncio.to_thread(
            lambda: first.enter_context(serf_agent(folder, "real", f"-snapshot={snapshot}", we.join_flag))
        )
        await sees(old, real="alive", ours="alive")
        os.kill(old.process.process.pid, signal.SIGTERM)
        await until(lambda: snapshot.exists() and b"alive: ours " in snapshot.read_bytes())
        await until(lambda: we.statuses()["real"] is Status.FAILED)
    back = await serf("real", f"-snapshot={snapshot}", f"-bind=127.0.0.1:{old.port}")
    await until(lambda: we.statuses()["real"] is Status.ALIVE)
    await sees(back, real="alive", ours="alive")
    mine = tmp_path / "mine"
    moving = await ours("moving", snapshot=mine)
    await moving.pool.join(we.address)
    await until(lambda: mine.exists() and b"alive: ours " in mine.read_bytes())
    await moving.pool.stop()
    await until(lambda: we.statuses()["moving"] is Status.FAILED)
    moved = await serf("moving", f"-snapshot={mine}", f"-bind=127.0.0.1:{moving.address[1]}")
    await until(lambda: we.statuses()["moving"] is Status.ALIVE)
    await sees(moved, real="alive", ours="alive", moving="alive")


async def test_coordinates_are_exchanged(ours: Make, serf: Make) -> None:
    we = await ours()
    agent = await serf("real", we.join_flag)
    await until(lambda: "real" in we.pool.serf.placing.known)
    assert we.pool.serf.counts["dropped.coordinate"] == 0
    async with asyncio.timeout(20):
        while "ms" not in (told := await asyncio.to_thread(_rtt, agent)):
            await asyncio.sleep(0.2)
    assert "ours" in told


def _rtt(agent: SerfAgent) -> str:
    try:
        return agent.ask("rtt", "real", "ours")
    except AssertionError as error:
        return str(error).partition("\n")[0]


async def test_nothing_serf_says_is_dropped(ours: Make, serf: Make) -> None:
    """After all kinds of messages, no counter of refusals has moved."""
    we = await ours()
    agent = await serf("real", we.join_flag, "-event-handler=query:load=cat")
    await sees(agent, real="alive", ours="alive")
    await ask(agent, "event", "a", "b")
    await ask(agent, "query", "-timeout=500ms", "-relay-factor=1", "load", "x")
    await ask(agent, "tags", "-set", "x=1")
    await ask(agent, "force-leave", "ours")
    await until(lambda: next(m for m in we.pool.members() if m.name == "real").tags == {"x": "1"})
    await asyncio.sleep(0.5)
    assert {name: count for name, count in we.pool.serf.counts.items() if name.startswith("dropped")} == {}
