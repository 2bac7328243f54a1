"""Writes and reads on any server: forwarded in batches, tried again at the next leader, applied once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from meshagent.catalog.log import Answer
from meshagent.catalog.rpc import forward
from meshagent.catalog.rpc.forward import ForwardingLog
from meshagent.catalog.rpc.leading import leader_methods
from meshagent.catalog.rpc.settings import RpcSettings
from meshagent.clock import SystemClock
from meshagent.errors import Conflict, LocalProtocolError, MeshError, NoLeader, Unavailable

from .conftest import Counts, Node, Scenario, World, until

Play = Callable[[Scenario], None]


class Cluster:
    """The promise of a replicated log among servers of one process, without consensus: what `raft/` gives."""

    def __init__(self) -> None:
        self.leader = ""
        self.entries: list[bytes] = []
        self.outcomes: dict[bytes, Any] = {}
        self.logs: dict[str, Log] = {}

    def commit(self, command: bytes, id: bytes | None) -> Any:
        if id is not None and id in self.outcomes:
            return self.outcomes[id]
        self.entries.append(command)
        outcome: Any = Conflict("refused") if command.startswith(b"bad") else len(self.entries)
        if id is not None:
            self.outcomes[id] = outcome
        return outcome


class Log:
    """One server's. `mute`: takes writes and commits them, but the answer is lost (leadership ends before it)."""

    def __init__(self, cluster: Cluster, node_id: str) -> None:
        self.cluster = cluster
        self.node_id = node_id
        self.turns: list[int] = []
        self.mute = False
        self.lag = 0
        self.last_contact_ms = 3
        self.stopped = False
        self.has_others = True
        self.has_heard = True
        self.on_change: list[Callable[[], None]] = []
        self._gathering = False
        self._new: list[tuple[bytes, bytes | None, Answer]] = []
        cluster.logs[node_id] = self

    async def start(self) -> None:
        return

    async def stop(self) -> None:
        self.stopped = True

    @property
    def is_leader(self) -> bool:
        return self.cluster.leader == self.node_id

    @property
    def leader_id(self) -> str | None:
        return self.cluster.leader or None

    @property
    def leader(self) -> str:
        return f"address of {self.cluster.leader}"

    @property
    def applied_index(self) -> int:
        return len(self.cluster.entries) - self.lag

    def when_applied(self, index: int) -> asyncio.Future[None]:
        return asyncio.ensure_future(until(lambda: self.applied_index >= index))

    def confirmed(self) -> asyncio.Future[None]:
        if not self.is_leader:
            raise NoLeader
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.set_result(None)
        return future

    async def barrier(self) -> None:
        await self.confirmed()

    def stats(self) -> dict[str, str]:
        return {"state": "Leader" if self.is_leader else "Follower"}

    def propose(self, command: bytes, request_id: bytes | None = None) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.hand_in(command, request_id, future)
        return future

    def hand_in(self, command: bytes, request_id: bytes | None, answer: Answer) -> None:
        if not self.is_leader:
            answer.set_exception(NoLeader())
            return
        self._new.append((command, request_id, answer))
        if not self._gathering:
            self._gathering = True
            asyncio.get_running_loop().call_soon(self._commit)

    def _commit(self) -> None:
        self._gathering = False
        new, self._new = self._new, []
        self.turns.append(len(new))
        for command, id, future in new:
            outcome = self.cluster.commit(command, id)
            if self.mute:
                future.set_exception(NoLeader("leadership lost while committing log"))
            elif isinstance(outcome, MeshError):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)


def server(world: World, cluster: Cluster, name: str, **options: Any) -> tuple[Node, ForwardingLog, Log]:
    log = Log(cluster, f"id-{name}")
    settings = RpcSettings(hold_timeout_s=options.pop("hold_timeout_s", 7.0), redial_longest_s=0.1)
    node = world.spawn(name, methods=leader_methods(log), settings=settings)
    forwarding = ForwardingLog(
        log,
        node.peers,
        node_id=node.identity.node_id,
        origin=random.Random(name).randbytes(8),
        clock=SystemClock(),
        metrics=node.counts,
        settings=settings,
        **options,
    )
    return node, forwarding, log


async def pair(world: World, **options: Any) -> tuple[Cluster, Any, Any]:
    """Two servers; alice leads."""
    cluster = Cluster()
    alice, bob = (server(world, cluster, name, **options) for name in ("alice", "bob"))
    world.introduce(alice[0], bob[0])
    await alice[0].connected(bob[0])
    await bob[0].connected(alice[0])
    cluster.leader = "id-alice"
    return cluster, alice, bob


def test_a_follower_takes_writes_and_they_travel_together(play: Play) -> None:
    async def scenario(world: World) -> None:
        _, (_, leading, alice), (node, following, _) = await pair(world)
        results = await asyncio.gather(*(following.propose(b"%d" % n) for n in range(300)))
        assert results == list(range(1, 301))
        assert alice.turns == [300]
        assert node.counts["client.rpc"] == 1
        assert node.counts["rpc.forwarded"] == 300
        assert await leading.propose(b"here") == 301
        assert (leading.is_leader, following.is_leader) == (True, False)
        assert (following.leader, following.last_contact_ms) == ("address of id-alice", 3)
        assert following.stats() == {"state": "Follower"}

    play(scenario)


def test_batches_are_cut_and_only_a_few_are_on_their_way(play: Play) -> None:
    async def scenario(world: World) -> None:
        _, (_, _, alice), (_, following, _) = await pair(world)
        large = await asyncio.gather(*(following.propose(bytes(300_000)) for _ in range(40)))
        assert sorted(large) == list(range(1, 41))
        assert max(alice.turns) <= 3 * forward.MAX_BATCHES
        many = await asyncio.gather(*(following.propose(b"x") for _ in range(5000)))
        assert sorted(many) == list(range(41, 5041))

    play(scenario)


def test_a_refusal_is_the_writes_own_and_is_not_tried_again(play: Play) -> None:
    async def scenario(world: World) -> None:
        cluster, _, (_, following, _) = await pair(world)
        good, bad = await asyncio.gather(following.propose(b"good"), following.propose(b"bad"), return_exceptions=True)
        assert good == 1
        assert (type(bad), str(bad)) == (Conflict, "refused")
        assert cluster.entries == [b"good", b"bad"]

    play(scenario)


def test_what_is_revived_is_what_apply_gives(play: Play) -> None:
    async def scenario(world: World) -> None:
        _, (_, leading, _), (_, following, _) = await pair(world, revive=lambda command, result: (command, result))
        assert await following.propose(b"a") == (b"a", 1)
        assert await leading.propose(b"b") == 2  # never was plain

    play(scenario)


@pytest.mark.parametrize("where", ["leader", "follower"])
def test_a_write_whose_answer_was_lost_applies_once(play: Play, where: str) -> None:
    """Without the id it would be written twice: here, and again at the next leader."""

    async def scenario(world: World) -> None:
        cluster, alice, bob = await pair(world)
        alice[2].mute = True
        write = (alice if where == "leader" else bob)[1].propose(b"once")
        await until(lambda: cluster.entries)
        cluster.leader = "id-bob"
        assert await write == 1
        assert cluster.entries == [b"once"]

    play(scenario)


def test_a_leader_that_hangs_is_left_when_there_is_another(play: Play) -> None:
    async def scenario(world: World) -> None:
        cluster, alice, bob = await pair(world)
        carol = server(world, cluster, "carol")
        world.introduce(alice[0], bob[0], carol[0])
        await bob[0].connected(carol[0])
        hung: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        alice[2].propose = lambda command, request_id=None: hung  # SIGSTOP
        write = bob[1].propose(b"x")
        await until(lambda: alice[0].counts["rpc.request"] == 1)
        cluster.leader = "id-carol"
        assert await write == 1

    play(scenario)


def test_a_connection_that_breaks_is_only_a_pause(play: Play) -> None:
    async def scenario(world: World) -> None:
        cluster, alice, bob = await pair(world)
        written = 0
        for round in range(5):
            writes = [bob[1].propose(b"%d" % n) for n in range(100)]
            if round % 2:
                await asyncio.sleep(0)
            for link in alice[0].server.links:
                link.close()
            await asyncio.gather(*writes)
            written += 100
            assert len(cluster.entries) == written

    play(scenario)


def test_no_leader_within_the_hold_timeout(play: Play) -> None:
    async def scenario(world: World) -> None:
        cluster, _, (_, following, _) = await pair(world, hold_timeout_s=0.1)
        cluster.leader = ""
        writes = [following.propose(b"x"), following.propose(b"y")]
        errors = await asyncio.gather(*writes, following.barrier(), following.read_barrier(), return_exceptions=True)
        assert [(type(error), str(error)) for error in errors] == [(NoLeader, "No cluster leader")] * 4
        cluster.leader = "id-alice"
        assert await following.propose(b"z") == 1  # and nothing of before

    play(scenario)


def test_a_leader_that_comes_in_time_is_waited_for(play: Play) -> None:
    async def scenario(world: World) -> None:
        cluster, _, (_, following, _) = await pair(world)
        cluster.leader = ""
        write = following.propose(b"x")
        read = asyncio.ensure_future(following.barrier())
        await asyncio.sleep(0.05)
        assert not write.done()
        cluster.leader = "id-alice"
        assert await write == 1
        await read

    play(scenario)


def test_a_server_that_becomes_leader_proposes_what_waits_here(play: Play) -> None:
    async def scenario(world: World) -> None:
        cluster, _, (_, following, _) = await pair(world)
        cluster.leader = ""
        write = following.propose(b"x")
        cluster.leader = "id-bob"
        assert await write == 1

    play(scenario)


def test_what_waits_is_bounded(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "MAX_WAITING", 3)
    monkeypatch.setattr(forward, "MAX_WAITING_BYTES", 10)

    async def scenario(world: World) -> None:
        cluster, _, (_, following, _) = await pair(world)
        cluster.leader = ""
        kept = [following.propose(b"1") for _ in range(3)]
        with pytest.raises(Unavailable, match="too many writes"):
            await following.propose(b"x")
        kept[0].cancel()
        cluster.leader = "id-alice"
        assert await asyncio.gather(*kept[1:]) == [1, 2]
        assert cluster.entries == [b"1", b"1"]  # the cancelled one never left
        cluster.leader = ""
        with pytest.raises(Unavailable, match="too many writes"):
            await following.propose(bytes(11))

    play(scenario)


def test_reads_wait_until_this_server_has_what_the_leader_had(play: Play) -> None:
    async def scenario(world: World) -> None:
        _, (_, leading, _), (_, following, bob) = await pair(world)
        for _ in range(5):
            await following.propose(b"x")
        for barrier in (following.barrier, following.read_barrier):
            bob.lag = 2
            read = asyncio.ensure_future(barrier())
            await asyncio.sleep(0.02)
            assert not read.done()
            bob.lag = 0
            await read
        await leading.read_barrier()
        await leading.barrier()

    play(scenario)


def test_reads_of_one_moment_are_one_question(play: Play) -> None:
    async def scenario(world: World) -> None:
        _, _, (node, following, _) = await pair(world)
        await asyncio.gather(*(following.read_barrier() for _ in range(100)))
        assert node.counts["client.rpc"] == 1

    play(scenario)


def test_the_questions_of_consistent_reads_are_timed(play: Play) -> None:
    async def scenario(world: World) -> None:
        _, _, (node, following, _) = await pair(world)
        await asyncio.gather(*(following.read_barrier(consistent=True) for _ in range(100)))
        await following.read_barrier()
        assert node.counts["rpc.consistentRead"] == 1

    play(scenario)


def test_stopping_refuses_what_waits(play: Play) -> None:
    async def scenario(world: World) -> None:
        cluster, (_, _, alice), (_, following, bob) = await pair(world)
        hung: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        alice.propose = lambda command, request_id=None: hung
        sent = following.propose(b"sent")
        await asyncio.sleep(0.02)
        cluster.leader = ""
        waits = following.propose(b"waits")
        await following.stop()
        errors = await asyncio.gather(sent, waits, following.propose(b"late"), return_exceptions=True)
        assert all(isinstance(error, (Unavailable, NoLeader)) for error in errors)
        assert bob.stopped

    play(scenario)


async def test_an_origin_has_eight_bytes() -> None:
    with pytest.raises(LocalProtocolError):
        ForwardingLog(None, None, node_id="x", origin=b"short", clock=SystemClock(), metrics=Counts())  # type: ignore[arg-type]
