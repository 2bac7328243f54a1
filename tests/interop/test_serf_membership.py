"""memberlist below serf: a real serf agent and our SWIM machine in one pool (surface rows S1 to S35).

What serf puts on top (tags, intents, events, queries, keys) has its own tests; here the layer above only remembers.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from meshtest.gossipgolden import Ring
from meshtest.gossipmachine import Recorder
from meshtest.serfpeer import SerfAgent, serf_agent

from meshagent.agent.gossip.node import NodeState, parse_ip
from meshagent.agent.gossip.packet import PacketCodec
from meshagent.agent.gossip.seal import Seal
from meshagent.agent.gossip.settings import LOCAL
from meshagent.agent.gossip.streams import StreamCodec
from meshagent.agent.gossip.swim import Memberlist
from meshagent.agent.gossip.transport import GossipTransport
from meshagent.clock import SystemClock
from meshagent.errors import InternalError
from meshagent.metrics import Metrics

#: Protocols of `serf agent`, which refuses a delegate protocol that it does not know.
SETTINGS = replace(LOCAL, versions=bytes((1, 5, 2, 2, 5, 5)), reclaim_s=0)
KEY = bytes(range(32))
pytestmark = pytest.mark.timeout(300)


class Ours:
    def __init__(
        self, name: str, key: bytes | None = None, *, compression: bool = False, host: str = "127.0.0.1"
    ) -> None:
        packets = PacketCodec(Seal(Ring(*([key] if key else [])), lambda: os.urandom(12)), compression=compression)
        streams = StreamCodec(packets)
        self.delegate = Recorder()
        self.delegate.meta = b"\xff\x81\xa4role\xa4ours"
        self.metrics = Metrics()
        self.transport = GossipTransport(None, streams, SystemClock())  # type: ignore[arg-type]
        self.address = self.transport.listen(host, 0)
        self.machine = self.transport.machine = Memberlist(  # type: ignore[assignment]
            name,
            parse_ip(host),
            self.address[1],
            settings=SETTINGS,
            delegate=self.delegate,
            rng=Random(name),
            packets=packets,
            streams=streams,
            metrics=self.metrics,
        )
        self.transport.start()

    @property
    def join_flag(self) -> str:
        return f"-join=127.0.0.1:{self.address[1]}"

    def state(self, name: str) -> NodeState | None:
        node = self.machine.node(name)
        return None if node is None else node.state

    def counted(self, name: str) -> float:
        rows = self.metrics.prometheus().decode().splitlines()
        return sum(float(row.rsplit(" ", 1)[1]) for row in rows if row.startswith(f"consul_memberlist_{name}"))


Make = Callable[..., Ours]
MakeSerf = Callable[..., SerfAgent]


@pytest.fixture
async def ours() -> AsyncIterator[Make]:
    async with AsyncExitStack() as stack:

        def make(name: str = "ours", key: bytes | None = None, **options: Any) -> Ours:
            one = Ours(name, key, **options)
            stack.push_async_callback(one.transport.close)
            return one

        yield make


@pytest.fixture
async def serf(tmp_path: Path) -> AsyncIterator[MakeSerf]:
    with ExitStack() as stack:
        yield lambda name, *flags, **more: stack.enter_context(serf_agent(tmp_path, name, *flags, **more))


async def started(make: MakeSerf, name: str, *flags: str, **more: Any) -> SerfAgent:
    """In a thread: it waits for the agent, which may want to talk to us meanwhile."""
    return await asyncio.to_thread(make, name, *flags, **more)


async def sees(agent: SerfAgent, **members: str) -> None:
    async with asyncio.timeout(40):
        while (await asyncio.to_thread(agent.members)) != members:
            await asyncio.sleep(0.1)


async def until(what: Callable[[], object]) -> None:
    async with asyncio.timeout(120):
        while not what():
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("key", [None, KEY], ids=["plain", "sealed"])
async def test_serf_joins_us(ours: Make, serf: MakeSerf, key: bytes | None) -> None:
    we = ours(key=key)
    agent = await started(serf, "real", we.join_flag, "-tag=role=db", key=key)
    await sees(agent, real="alive", ours="alive")
    assert await asyncio.to_thread(agent.tags, "ours") == {"role": "ours"}
    node = we.machine.node("real")
    assert node is not None
    assert (node.address, node.meta) == (agent.address, b"\xff\x81\xa4role\xa2db")
    await until(lambda: any(kind == "rtt" and len(fact[2]) == 130 for kind, fact in we.delegate.heard))  # type: ignore[index]


@pytest.mark.parametrize("key", [None, KEY[:16], KEY[:24], KEY], ids=["plain", "16", "24", "32"])
async def test_we_join_serf(ours: Make, serf: MakeSerf, key: bytes | None) -> None:
    agent = await started(serf, "real", key=key)
    we = ours(key=key)
    await we.transport.join(agent.address)
    await sees(agent, real="alive", ours="alive")
    assert we.state("real") is NodeState.ALIVE
    assert any(kind == "state" for kind, _ in we.delegate.heard)


async def test_both_on_ipv6(ours: Make, serf: MakeSerf) -> None:
    we = ours(key=KEY, host="::1")
    agent = await started(serf, "real", f"-join=[::1]:{we.address[1]}", key=KEY, host="::1")
    await sees(agent, real="alive", ours="alive")
    node = we.machine.node("real")
    assert node is not None
    assert node.address == agent.address
    await until(lambda: any(kind == "rtt" for kind, _ in we.delegate.heard))


async def test_we_compress_as_serf_does(ours: Make, serf: MakeSerf) -> None:
    we = ours(compression=True)
    agent = await started(serf, "real", we.join_flag)
    other = ours("another", compression=True)
    await other.transport.join(agent.address)
    await sees(agent, real="alive", ours="alive", another="alive")
    await until(lambda: we.state("another") is NodeState.ALIVE)


async def test_a_killed_serf_is_found_dead(ours: Make, serf: MakeSerf) -> None:
    we = ours()
    agent = await started(serf, "real", we.join_flag)
    other = await started(serf, "second", we.join_flag)
    await sees(other, real="alive", ours="alive", second="alive")
    os.kill(agent.process.process.pid, signal.SIGKILL)
    await until(lambda: ("dead", "real") in we.delegate.heard)
    await sees(other, real="failed", ours="alive", second="alive")
    assert we.state("second") is NodeState.ALIVE


async def test_we_are_found_dead(ours: Make, serf: MakeSerf) -> None:
    we = ours()
    agent = await started(serf, "real", we.join_flag)
    await sees(agent, real="alive", ours="alive")
    await we.transport.close()
    await sees(agent, real="alive", ours="failed")


async def test_a_leaving_serf_has_left(ours: Make, serf: MakeSerf) -> None:
    we = ours()
    agent = await started(serf, "real", we.join_flag)
    await sees(agent, real="alive", ours="alive")
    await asyncio.to_thread(agent.ask, "leave")
    await until(lambda: ("left", "real") in we.delegate.heard)


async def test_a_paused_serf_is_suspected_and_answers_for_itself(ours: Make, serf: MakeSerf) -> None:
    we = ours()
    agent = await started(serf, "real", we.join_flag)
    for name in ("b", "c", "d", "e"):
        await ours(name).transport.join(we.address)
    await sees(agent, real="alive", ours="alive", b="alive", c="alive", d="alive", e="alive")
    before = we.machine.node("real")
    os.kill(agent.process.process.pid, signal.SIGSTOP)
    try:
        await until(lambda: we.state("real") is NodeState.SUSPECT)
    finally:
        os.kill(agent.process.process.pid, signal.SIGCONT)
    await until(lambda: we.state("real") is NodeState.ALIVE)
    after = we.machine.node("real")
    assert before is not None
    assert after is not None
    assert after.incarnation > before.incarnation
    assert ("dead", "real") not in we.delegate.heard


async def test_who_has_another_key_stays_outside(ours: Make, serf: MakeSerf) -> None:
    we = ours(key=KEY)
    for name, key in (("plain", None), ("other", KEY[::-1])):
        agent = await started(serf, name, key=key)
        with pytest.raises(InternalError, match=r"encrypt|key"):
            await we.transport.join(agent.address)
        await asyncio.to_thread(_join_fails, agent, we.address[1])
        assert await asyncio.to_thread(agent.members) == {name: "alive"}
    assert [node.name for node in we.machine.nodes()] == ["ours"]
    assert we.counted("dropped") >= 2


def _join_fails(agent: SerfAgent, port: int) -> None:
    with pytest.raises(AssertionError, match=r"[Ee]rror"):
        agent.ask("join", f"127.0.0.1:{port}")


async def test_a_second_claimant_of_a_name_is_refused(ours: Make, serf: MakeSerf) -> None:
    we = ours("real")
    agent = await started(serf, "real", "-tag=role=db")
    await we.transport.join(agent.address)
    assert [node.address for node in we.machine.nodes()] == [we.address]
    assert any(kind == "conflict" for kind, _ in we.delegate.heard)
