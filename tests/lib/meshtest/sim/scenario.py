"""One seed: a cluster of three or five, clients, things that go wrong, an end at which all must be well."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from meshagent.errors import Conflict, MeshError
from meshtest.sim.agents import SimAgent
from meshtest.sim.catalog import Catalog
from meshtest.sim.cluster import Broken, Cluster, Numbers
from meshtest.sim.history import History
from meshtest.sim.loop import run_sim
from meshtest.sim.nemesis import PROFILES, Nemesis
from meshtest.sim.stack import RPC_SETTINGS, StackCluster, StackHistory

CHECK_EVERY_S = 0.01
SETTLE_S = 20.0


@dataclass
class Outcome:
    seed: int
    profile: str
    size: int
    seconds: float = 0.0
    trace: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


async def _scenario(outcome: Outcome, chaos_s: float, *, stack: bool, agents: int) -> None:
    loop = asyncio.get_running_loop()
    rng = random.Random(outcome.seed)
    # One seed in three runs the real catalog, and one in three begins with servers that do not know each other.
    machine = Catalog if outcome.seed % 3 == 1 else Numbers
    begins = outcome.seed % 3 == 2
    cluster = (StackCluster if stack else Cluster)(outcome.seed, outcome.size, machine=machine, joins=begins)
    history = (StackHistory if stack else History)(cluster, rng.random())
    history.loose = outcome.profile == "restores"
    nemesis = Nemesis(cluster, rng.random(), outcome.profile)
    nemesis.on_recovery = history.forget
    outcome.trace = cluster.trace
    for server in cluster.servers.values():
        cluster.spawn(server.start())
    if begins:
        cluster.spawn(_begin(cluster, rng.choice(sorted(cluster.servers))))
    for client in range(3):
        cluster.spawn(history.write_on(client))
        cluster.spawn(history.read_on(client))
    seeds = random.Random(f"agents of {outcome.seed}")
    clients = [SimAgent(cluster, history, f"c{number}", seeds.random(), RPC_SETTINGS) for number in range(agents)]
    for agent in clients:
        cluster.spawn(agent.run())
    running = cluster.spawn(nemesis.run(chaos_s))
    while not running.done():
        await asyncio.sleep(CHECK_EVERY_S)
        cluster.check()
    nemesis.heal()
    history.stopped = True
    cluster.note("healed")
    healed = loop.time()
    while not await _agreed(cluster, history):
        cluster.check()
        if loop.time() > healed + SETTLE_S:
            raise Broken(f"no agreement {SETTLE_S} s after everything works again: {_states(cluster)}")
    cluster.check()
    for agent in clients:
        agent.check_unsent(cluster.leader.machine.places if cluster.leader is not None else {})
    outcome.seconds = loop.time()
    wire = cluster.network
    outcome.facts = {
        **history.summary(),
        "messages": cluster.network.sent,
        **({"connections": wire.connections, "broken streams": wire.broken} if stack else {}),
        **{name: sum(agent.facts[name] for agent in clients) for name in (clients[0].facts if clients else ())},
        "terms": max(cluster.leaders, default=0),
        "leaders": len(cluster.leaders),
        "recovered_after": round(loop.time() - healed, 2),
        **{f"did {name}": count for name, count in sorted(nemesis.done.items())},
    }


async def _begin(cluster: Cluster, name: str) -> None:
    """Somebody begins the cluster, again and again until it is begun, whatever else happens."""
    addresses = {node_id: f"{node_id}:8300" for node_id in sorted(cluster.servers)}
    while True:
        await asyncio.sleep(0.05)
        server = cluster.servers[name]
        if not server.up or not server.log._started:
            continue
        try:
            await asyncio.wait_for(server.ask(partial(server.log.bootstrap, addresses)), 1.0)
        except Conflict:
            return
        except (MeshError, TimeoutError):
            continue


async def _agreed(cluster: Cluster, history: History) -> bool:
    """A write goes through, and all members have it and everything before."""
    await asyncio.sleep(0.1)
    leader = cluster.leader
    if leader is None or not await history.write(tries=1):
        return False
    await asyncio.sleep(0.15)
    leader = cluster.leader
    if leader is None:
        return False
    for server in leader.log.servers:
        member = cluster.servers[server.node_id]
        if not member.up or not member.log._started or member.machine.digest != leader.machine.digest:
            return False
        if isinstance(member.machine, Catalog) and isinstance(leader.machine, Catalog):
            one, other = member.machine.store, leader.machine.store
            if one.digest() != other.digest():
                raise Broken(f"the catalog of {member.node_id} is not that of {leader.node_id}")
    history.check_kept(leader.machine.places)
    return True


def _states(cluster: Cluster) -> str:
    return "; ".join(
        f"{server.node_id} "
        + (
            f"{server.engine.state_name} {server.floor} last {server.engine.last_index}"
            f" voters {sorted(server.engine.voters)} count {server.machine.count}"
            if server.engine
            else f"up={server.up}"
        )
        for server in cluster.servers.values()
    )


def run_seed(
    seed: int, *, profile: str | None = None, chaos_s: float = 5.0, stack: bool = False, agents: int = 0
) -> Outcome:
    """Raises what is broken, with the seed in its message. `stack`: with forwarding and the RPC port (`stack.py`), on
    which so many client `agents` may be (`agents.py`)."""
    names = sorted(PROFILES)
    profile = profile or names[seed % len(names)]
    outcome = Outcome(seed, profile, 5 if (seed // len(names)) % 3 == 2 else 3)
    try:
        run_sim(_scenario(outcome, chaos_s, stack=stack, agents=agents))
    except Exception as error:
        last = "\n  ".join(outcome.trace[-25:])
        what = ", the whole stack" if stack else ""
        what += f", {agents} agents" if agents else ""
        raise Broken(f"seed {seed} ({profile}, {outcome.size} servers{what}): {error!r}\n  {last}") from error
    return outcome
