"""I/O edge: what goes wrong, one fault after the other, from a seed; each is undone before the next.

A fault is a coroutine in `FAULTS`: it does, waits and undoes. Who leads is looked up when it begins, so two runs of a
seed agree in what happens and for how long, not in every packet. After each, the cluster must take writes at every
server within `RECOVERY_S`: what does not is a problem of the run.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from meshtest.chaos.client import Connection, NotAsked
from meshtest.chaos.cluster import Cluster, Server

RECOVERY_S = 40.0  # with a log to replay, a snapshot to install and a loaded machine; usually below 3
FLOOD_BYTES = 256 << 10
ELECTION_S = 1.0  # the longest election timeout at the default raft_multiplier

Fault = Callable[["Nemesis"], Awaitable[None]]
FAULTS: dict[str, tuple[Fault, str]] = {}
"""name: (the fault, what it needs: "", "cut" or "transfer")"""


def fault(needs: str = "") -> Callable[[Fault], Fault]:
    def add(function: Fault) -> Fault:
        FAULTS[function.__name__] = (function, needs)  # type: ignore[attr-defined]
        return function

    return add


@dataclass(slots=True)
class Nemesis:
    cluster: Cluster
    rng: random.Random
    only: tuple[str, ...] = ()
    say: Callable[[str], None] = print
    counts: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    recoveries: list[float] = field(default_factory=list)

    @property
    def servers(self) -> list[Server]:
        return list(self.cluster.servers.values())

    def names(self) -> list[str]:
        """The faults that can be done here, in the table's order."""
        can_cut = self.cluster.network.can_cut
        return [
            name
            for name, (_, needs) in FAULTS.items()
            if (can_cut or needs != "cut") and (not self.only or name in self.only)
        ]

    async def run(self, until: float) -> None:
        """Every fault once in a chance order, then again in another, up to `until` (monotonic seconds)."""
        names: list[str] = []
        if not self.names():
            self.problems.append(f"none of {', '.join(self.only)} can be done here: nothing can be cut on loopback")
            return
        await asyncio.sleep(1.0)  # there must be something to lose
        while time.monotonic() < until and not self.problems:
            if not names:
                names = self.names()
                self.rng.shuffle(names)
            await self.one(names.pop())
            await asyncio.sleep(self.rng.uniform(0.2, 1.0))

    async def one(self, name: str) -> None:
        started = time.monotonic()
        try:
            await FAULTS[name][0](self)
        finally:
            await self.mend()
        self.counts[name] += 1
        took = time.monotonic() - started
        try:
            recovery = await asyncio.to_thread(self.cluster.wait_writable, RECOVERY_S)
        except TimeoutError as error:
            self.problems.append(f"after {name}: {error}")
            return
        self.recoveries.append(recovery)
        used_mb = await asyncio.to_thread(self.cluster.used_mb)
        self.say(f"{name:30} {took:5.1f} s, writable everywhere {recovery:5.2f} s later, {used_mb} MB")

    async def mend(self) -> None:
        """All faults undone, all servers started."""
        self.cluster.network.heal()
        for server in self.servers:
            self.cluster.free_disk(server)
            self.cluster.resume(server)
            if not server.wanted:
                self.cluster.start(server)

    async def leader(self) -> Server:
        return await asyncio.to_thread(self.cluster.leader) or self.rng.choice(self.servers)

    async def roles(self) -> tuple[Server, list[Server]]:
        leader = await self.leader()
        followers = [server for server in self.servers if server is not leader]
        self.rng.shuffle(followers)
        return leader, followers

    async def hold(self, least_s: float = 1.5, most_s: float = 4.0) -> None:
        await asyncio.sleep(self.rng.uniform(least_s, most_s))

    async def kill(self, *servers: Server) -> None:
        for server in servers:
            await asyncio.to_thread(self.cluster.kill, server)

    def part(self, one: list[Server], other: list[Server], *, both: bool = True) -> None:
        """Nothing goes from `one` to `other`, nor back."""
        for a, b in itertools.product(one, other):
            self.cluster.network.cut(a.name, b.name)
            if both:
                self.cluster.network.cut(b.name, a.name)


# -- processes


@fault()
async def kill_leader(nemesis: Nemesis) -> None:
    await nemesis.kill(await nemesis.leader())
    await nemesis.hold(0.5, 4.0)


@fault()
async def kill_follower(nemesis: Nemesis) -> None:
    await nemesis.kill((await nemesis.roles())[1][0])
    await nemesis.hold(0.2, 4.0)


@fault()
async def kill_majority(nemesis: Nemesis) -> None:
    leader, followers = await nemesis.roles()
    await nemesis.kill(leader, *followers[: len(nemesis.servers) // 2])
    await nemesis.hold(0.2, 2.0)


@fault()
async def kill_all(nemesis: Nemesis) -> None:
    """As when the power goes: all at once, and all start at once."""
    await nemesis.kill(*nemesis.servers)


@fault()
async def kill_all_staggered(nemesis: Nemesis) -> None:
    """All at once, and they come back one by one, in another order."""
    servers = nemesis.servers
    await nemesis.kill(*servers)
    nemesis.rng.shuffle(servers)
    for server in servers:
        nemesis.cluster.start(server)
        await nemesis.hold(0.1, 2.0)


@fault()
async def kill_again_while_starting(nemesis: Nemesis) -> None:
    server = nemesis.rng.choice(nemesis.servers)
    for _ in range(3):
        await nemesis.kill(server)
        nemesis.cluster.start(server)
        await nemesis.hold(0.05, 0.8)


@fault()
async def rolling_restart(nemesis: Nemesis) -> None:
    """As an upgrade does it: SIGTERM, start, next."""
    leader, followers = await nemesis.roles()
    for server in (*followers, leader):
        await asyncio.to_thread(nemesis.cluster.stop, server)
        nemesis.cluster.start(server)
        await asyncio.to_thread(nemesis.cluster.wait_writable, RECOVERY_S)


# -- pauses: longer than an election


@fault()
async def pause_leader(nemesis: Nemesis) -> None:
    nemesis.cluster.pause(await nemesis.leader())
    await nemesis.hold(1.5 * ELECTION_S, 5 * ELECTION_S)


@fault()
async def pause_leader_briefly(nemesis: Nemesis) -> None:
    """About as long as a lease, so that it wakes on either side of losing it."""
    leader = await nemesis.leader()
    for _ in range(4):
        nemesis.cluster.pause(leader)
        await nemesis.hold(0.1, 1.2)
        nemesis.cluster.resume(leader)
        await nemesis.hold(0.05, 0.3)


@fault()
async def pause_follower(nemesis: Nemesis) -> None:
    nemesis.cluster.pause((await nemesis.roles())[1][0])
    await nemesis.hold(1.5 * ELECTION_S, 5 * ELECTION_S)


@fault()
async def pause_majority(nemesis: Nemesis) -> None:
    """The leader goes on alone, and may answer nothing that needs the others."""
    _, followers = await nemesis.roles()
    for server in followers[: len(nemesis.servers) // 2 + 1]:
        nemesis.cluster.pause(server)
    await nemesis.hold(1.5 * ELECTION_S, 3 * ELECTION_S)


@fault()
async def pause_leader_and_kill_the_next(nemesis: Nemesis) -> None:
    first = await nemesis.leader()
    nemesis.cluster.pause(first)
    await asyncio.sleep(2 * ELECTION_S)
    await nemesis.kill(await nemesis.leader())
    nemesis.cluster.resume(first)
    await nemesis.hold(1.0, 2.0)


# -- the network


@fault("cut")
async def part_halves(nemesis: Nemesis) -> None:
    servers = nemesis.servers
    nemesis.rng.shuffle(servers)
    half = len(servers) // 2
    nemesis.part(servers[:half], servers[half:])
    await nemesis.hold(2.0, 5.0)


@fault("cut")
async def isolate_leader(nemesis: Nemesis) -> None:
    leader, followers = await nemesis.roles()
    nemesis.part([leader], followers)
    await nemesis.hold(2.0, 5.0)


@fault("cut")
async def leader_is_not_heard(nemesis: Nemesis) -> None:
    leader, followers = await nemesis.roles()
    nemesis.part([leader], followers, both=False)
    await nemesis.hold(2.0, 5.0)


@fault("cut")
async def leader_hears_nobody(nemesis: Nemesis) -> None:
    leader, followers = await nemesis.roles()
    nemesis.part(followers, [leader], both=False)
    await nemesis.hold(2.0, 5.0)


@fault("cut")
async def one_link_is_down(nemesis: Nemesis) -> None:
    """The leader and one follower do not hear each other; both hear the others."""
    leader, followers = await nemesis.roles()
    nemesis.part([leader], followers[:1])
    await nemesis.hold(2.0, 5.0)


@fault("cut")
async def nobody_hears_anybody(nemesis: Nemesis) -> None:
    for server in nemesis.servers:
        nemesis.part([server], [other for other in nemesis.servers if other is not server])
    await nemesis.hold(1.5, 3.0)


@fault("cut")
async def links_flap(nemesis: Nemesis) -> None:
    for _ in range(6):
        one, other = nemesis.rng.sample(nemesis.servers, 2)
        nemesis.part([one], [other], both=nemesis.rng.random() < 0.5)
        await nemesis.hold(0.2, 1.0)
        nemesis.cluster.network.heal()
        await nemesis.hold(0.05, 0.3)


@fault("cut")
async def packets_are_lost(nemesis: Nemesis) -> None:
    for one, other in itertools.permutations(nemesis.servers, 2):
        nemesis.cluster.network.lossy(one.name, other.name, nemesis.rng.randint(5, 30))
    await nemesis.hold(2.0, 5.0)


@fault("cut")
async def links_are_slow(nemesis: Nemesis) -> None:
    for one, other in itertools.permutations(nemesis.servers, 2):
        nemesis.cluster.network.slow(one.name, other.name, nemesis.rng.randint(20, 300))
    await nemesis.hold(2.0, 5.0)


@fault("cut")
async def isolate_leader_and_kill_it(nemesis: Nemesis) -> None:
    leader, followers = await nemesis.roles()
    nemesis.part([leader], followers)
    await nemesis.hold(1.5, 3.0)
    await nemesis.kill(leader)
    await nemesis.hold(0.1, 1.0)


# -- disks


async def flood(nemesis: Nemesis, seconds: float) -> None:
    """Large values by way of every server, so that the log needs more than the room that it has set aside."""
    until = time.monotonic() + seconds

    async def pour(server: Server) -> None:
        connection = Connection(server.address)
        while time.monotonic() < until:
            try:
                reply = await connection.ask("PUT", "/v1/kv/flood", bytes(FLOOD_BYTES), timeout_s=2.0)
                nemesis.notes["flood taken" if reply.status == 200 else "flood refused"] += 1
            except (NotAsked, OSError, EOFError, TimeoutError):
                nemesis.notes["flood unanswered"] += 1
            await asyncio.sleep(0.01)
        connection.close()

    await asyncio.gather(*map(pour, nemesis.servers))


@fault()
async def disk_full_at_leader(nemesis: Nemesis) -> None:
    leader = await nemesis.leader()
    await asyncio.to_thread(nemesis.cluster.fill_disk, leader)
    await flood(nemesis, nemesis.rng.uniform(2.0, 5.0))


@fault()
async def disk_full_at_follower(nemesis: Nemesis) -> None:
    follower = (await nemesis.roles())[1][0]
    await asyncio.to_thread(nemesis.cluster.fill_disk, follower)
    await flood(nemesis, nemesis.rng.uniform(2.0, 5.0))


@fault()
async def all_disks_full(nemesis: Nemesis) -> None:
    for server in nemesis.servers:
        await asyncio.to_thread(nemesis.cluster.fill_disk, server)
    await flood(nemesis, nemesis.rng.uniform(2.0, 5.0))


@fault()
async def disk_full_and_killed(nemesis: Nemesis) -> None:
    """It starts although nothing can be written, or ends and says why; when there is room again it starts."""
    server = nemesis.rng.choice(nemesis.servers)
    await asyncio.to_thread(nemesis.cluster.fill_disk, server)
    await flood(nemesis, 1.5)
    await nemesis.kill(server)
    nemesis.cluster.start(server)
    await nemesis.hold(1.0, 2.0)
    if not server.agent.alive:
        server.wanted = False
        nemesis.notes[server.agent.log().strip().split("\n")[-1]] += 1


# -- leadership


@fault()
async def transfer_leadership(nemesis: Nemesis) -> None:
    for _ in range(3):
        leader, followers = await nemesis.roles()
        target = nemesis.cluster.ids[followers[0].name]
        with contextlib.suppress(OSError):
            answer = await asyncio.to_thread(
                leader.agent.http, "POST", f"/v1/operator/raft/transfer-leader?id={target}", timeout_s=10.0
            )
            nemesis.notes["transfers done"] += answer.status == 200
        await nemesis.hold(0.3, 1.5)
