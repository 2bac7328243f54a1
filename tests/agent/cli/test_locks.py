"""Locks against the API of a real agent in this process; who waits for a change waits 20 ms."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from meshtest.inprocess import InProcess

from meshagent.agent.cli.client import Answer, ApiError, Client, Endpoint
from meshagent.agent.cli.locks import MUTEX_FLAGS, SEMAPHORE_FLAGS, Mutex, Semaphore
from meshagent.errors import MeshError


class DirectClient(Client):
    """Requests go to the agent's dispatcher."""

    def __init__(self) -> None:
        super().__init__(Endpoint())
        self.loop = asyncio.new_event_loop()
        self.agent = self.loop.run_until_complete(self._made())
        self.between: list[Callable[[], Any]] = []
        """What others do, one before each request."""

    async def _made(self) -> InProcess:
        agent = InProcess()
        await agent.start()
        return agent

    def request(self, method: str, path: str, query: Any = (), body: bytes = b"", *, accept: Any = (200,)) -> Answer:
        if self.between:
            self.between.pop(0)()
        pairs = query.items() if isinstance(query, dict) else query
        given = [(name, "20ms" if name == "wait" else value) for name, value in pairs]
        target = f"/v1/{quote(path, safe='/')}?{urlencode(given)}"

        async def ask() -> Any:
            task = asyncio.get_running_loop().create_task(self.agent.ask(method, target, body=body))
            while not task.done():
                await self.agent.clock.advance(0.001)
                await asyncio.wait([task], timeout=0.001)
            return task.result()

        answered = self.loop.run_until_complete(ask())
        if answered.status not in accept:
            raise ApiError(answered.status, answered.text)
        return Answer(answered.status, answered.headers, answered.body)

    def session(self) -> str:
        value = {"TTL": "60s", "LockDelay": "0s"}
        return str(self.put("session/create", value=value).json()["ID"])

    def row(self, key: str) -> Any:
        rows = self.request("GET", f"kv/{key}", accept=(200, 404))
        return rows.json()[0] if rows.status == 200 else None

    def close(self) -> None:
        self.loop.run_until_complete(self.agent.stop())
        self.loop.close()


@pytest.fixture
def client() -> Iterator[DirectClient]:
    client = DirectClient()
    yield client
    client.close()


def never_tired(pause_s: float) -> bool:
    return True


def no_limit() -> float | None:
    return None


def test_a_mutex_is_held_by_one_and_leaves_nothing(client: DirectClient) -> None:  # E10
    session = client.session()
    mutex = Mutex(client, "jobs", session)
    assert mutex.acquire(never_tired, no_limit)
    row = client.row("jobs/.lock")
    assert (row["Session"], row["Flags"]) == (session, MUTEX_FLAGS)
    left = iter((1.0, 1.0, 0.0))
    assert not Mutex(client, "jobs", client.session()).acquire(never_tired, lambda: next(left))
    mutex.release()
    mutex.clean_up()
    assert client.row("jobs/.lock") is None


def test_who_waits_gets_the_mutex_when_its_holder_goes(client: DirectClient) -> None:
    first, second = client.session(), client.session()
    Mutex(client, "jobs", first).acquire(never_tired, no_limit)
    client.between = [lambda: None, lambda: client.loop.run_until_complete(_destroy(client, first))]
    assert Mutex(client, "jobs", second).acquire(never_tired, no_limit)
    assert client.row("jobs/.lock")["Session"] == second


async def _destroy(client: DirectClient, session: str) -> None:
    await client.agent.put(f"/v1/session/destroy/{session}")


def test_whoever_wants_to_stop_waits_no_longer(client: DirectClient) -> None:
    Mutex(client, "jobs", client.session()).acquire(never_tired, no_limit)
    assert not Mutex(client, "jobs", client.session()).acquire(lambda pause_s: False, no_limit)


def test_clean_up_leaves_a_lock_that_is_held(client: DirectClient) -> None:
    Mutex(client, "jobs", client.session()).acquire(never_tired, no_limit)
    Mutex(client, "jobs", client.session()).clean_up()
    assert client.row("jobs/.lock") is not None


def test_a_lost_mutex_is_noticed_and_cannot_be_released(client: DirectClient) -> None:
    session = client.session()
    mutex = Mutex(client, "jobs", session)
    mutex.acquire(never_tired, no_limit)
    client.between = [lambda: None, lambda: client.loop.run_until_complete(_destroy(client, session))]
    mutex.lost(0, never_tired)
    assert client.row("jobs/.lock").get("Session") is None
    with pytest.raises(MeshError, match="Lock not held"):
        mutex.release()


def test_failed_reads_are_forgiven_so_many_times(client: DirectClient) -> None:
    mutex = Mutex(client, "jobs", client.session())
    mutex.acquire(never_tired, no_limit)
    pauses: list[float] = []

    def fail() -> None:
        raise ApiError(500, "No cluster leader")

    client.between = [fail, fail, fail]
    mutex.lost(2, lambda pause_s: pauses.append(pause_s) is None)
    assert len(pauses) == 2


def test_a_key_of_something_else_is_left_alone(client: DirectClient) -> None:
    client.put("kv/jobs/.lock", body=b"mine")
    with pytest.raises(MeshError, match="does not match lock use"):
        Mutex(client, "jobs", client.session()).acquire(never_tired, no_limit)
    with pytest.raises(MeshError, match="does not match semaphore use"):
        Semaphore(client, "jobs", client.session(), 2).acquire(never_tired, no_limit)


def test_a_semaphore_has_so_many_holders(client: DirectClient) -> None:  # E11
    sessions = [client.session() for _ in range(3)]
    holders = [Semaphore(client, "jobs", session, 2) for session in sessions]
    assert holders[0].acquire(never_tired, no_limit)
    assert holders[1].acquire(never_tired, no_limit)
    left = iter((1.0, 0.5, 0.0))
    assert not holders[2].acquire(never_tired, lambda: next(left))
    row = client.row("jobs/.lock")
    assert row["Flags"] == SEMAPHORE_FLAGS
    value = json.loads(client.request("GET", "kv/jobs/.lock", {"raw": ""}).body)
    assert value == {"Limit": 2, "Holders": {sessions[0]: True, sessions[1]: True}}
    assert client.row(f"jobs/{sessions[2]}") is None  # it went out of line
    holders[0].release()
    assert holders[2].acquire(never_tired, no_limit)
    for holder in holders[1:]:
        holder.release()
        holder.clean_up()
    assert client.row("jobs/.lock") is None


def test_a_dead_holder_makes_room(client: DirectClient) -> None:
    dead, alive = client.session(), client.session()
    assert Semaphore(client, "jobs", dead, 1).acquire(never_tired, no_limit)
    client.put(f"session/destroy/{dead}")
    assert Semaphore(client, "jobs", alive, 1).acquire(never_tired, no_limit)
    value = json.loads(client.request("GET", "kv/jobs/.lock", {"raw": ""}).body)
    assert value["Holders"] == {alive: True}


def test_holders_must_agree_on_how_many(client: DirectClient) -> None:
    assert Semaphore(client, "jobs", client.session(), 2).acquire(never_tired, no_limit)
    with pytest.raises(MeshError, match=r"Semaphore limit conflict \(lock: 2, local: 3\)"):
        Semaphore(client, "jobs", client.session(), 3).acquire(never_tired, no_limit)


def test_a_list_of_holders_that_is_damaged_is_named(client: DirectClient) -> None:
    client.request("PUT", "kv/jobs/.lock", {"flags": str(SEMAPHORE_FLAGS)}, b"not json")
    with pytest.raises(MeshError, match=r"holders at jobs/\.lock does not decode"):
        Semaphore(client, "jobs", client.session(), 2).acquire(never_tired, no_limit)
