"""Raft messages over real connections: in order, from whom they say, dropped rather than kept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from meshagent.catalog.raft.messages import AppendEntries, AppendReply, Message, PreVote
from meshagent.catalog.raft.transport import Transport
from meshagent.catalog.rpc import frames
from meshagent.catalog.rpc.frames import encode
from meshagent.catalog.rpc.hello import Identity
from meshagent.catalog.rpc.raft_transport import RpcTransport
from meshagent.catalog.rpc.reasons import Reason
from meshagent.catalog.rpc.tls import load_security

from .conftest import Node, Pki, Scenario, World, until

Play = Callable[[Scenario], None]


class Ear:
    """What an engine hears."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.heard: list[tuple[str, Message, int]] = []
        self.connections: list[str] = []
        self.transport: Transport = RpcTransport(node.server, node.peers, node.counts)
        self.transport.attach(lambda *message: self.heard.append(message), self.connections.append)


def beat(sender: str, round: int = 1, data: bytes = b"") -> AppendEntries:
    entries = [(data, 2, 1)] if data else []
    return AppendEntries(sender, 1, 1, round, 1, 1, 1, entries)


async def pair(world: World, **options: Any) -> tuple[Ear, Ear]:
    a, b = Ear(world.spawn("a", **options)), Ear(world.spawn("b", **options))
    servers = {"id-a": a.node.address, "id-b": b.node.address}
    a.transport.set_servers(servers)
    b.transport.set_servers(servers)
    await until(lambda: a.transport.connected("id-b") and b.transport.connected("id-a"))
    return a, b


@pytest.mark.parametrize("secure", [False, True])
def test_messages_arrive_in_order_with_sender_and_epoch(play: Play, pki: Pki, secure: bool) -> None:
    async def scenario(world: World) -> None:
        options = {"security": load_security(pki.leaf("server.dc1.consul"))} if secure else {}
        a, b = await pair(world, **options)
        sent = [beat("id-a", round, bytes([round % 256]) * 1000) for round in range(1, 500)]
        for message in sent:
            a.transport.send("id-b", message)
        b.transport.send("id-a", AppendReply("id-b", 1, 1, 1, True, 2))
        await until(lambda: len(b.heard) == len(sent) and a.heard)
        assert [message for _, message, _ in b.heard] == sent
        assert {(node_id, epoch) for node_id, _, epoch in b.heard} == {("id-a", 1)}
        assert a.heard == [("id-b", AppendReply("id-b", 1, 1, 1, True, 2), 1)]
        assert b.node.counts["rpc.raft_handoff"] == 1

    play(scenario)


def test_a_new_connection_has_a_higher_epoch_on_both_sides(play: Play) -> None:
    async def scenario(world: World) -> None:
        a, b = await pair(world)
        before = a.transport.epoch("id-b")
        a.transport.send("id-b", beat("id-a", 1))
        await until(lambda: b.heard)
        for link in b.node.server.links:
            link.close()
        await until(lambda: not a.transport.connected("id-b"))
        assert a.transport.epoch("id-b") == before
        a.transport.send("id-b", beat("id-a", 2))  # lost
        assert a.node.counts["rpc.raft_dropped"] == 1
        await until(lambda: a.transport.connected("id-b"))
        assert a.transport.epoch("id-b") > before
        a.transport.send("id-b", beat("id-a", 3))
        await until(lambda: len(b.heard) == 2)
        (_, first, older), (_, second, newer) = b.heard
        assert isinstance(first, AppendEntries)
        assert isinstance(second, AppendEntries)
        assert (first.round, second.round) == (1, 3)
        assert newer > older
        assert a.connections == ["id-b"] * 3  # up, down, up

    play(scenario)


def test_nothing_is_kept_for_a_server_that_is_not_there_or_not_known(play: Play) -> None:
    async def scenario(world: World) -> None:
        a = Ear(world.spawn("a"))
        assert (a.transport.connected("id-z"), a.transport.epoch("id-z")) == (False, 0)
        a.transport.send("id-z", beat("id-a"))
        assert a.node.counts["rpc.raft_dropped"] == 1

    play(scenario)


def test_a_peer_that_does_not_read_costs_a_bounded_amount(play: Play) -> None:
    """A follower that is stopped (SIGSTOP) while the leader writes on."""

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        writer.write(frames.PREFACE + encode(Identity("id-b", "b", "dc1", "c1").hello()))
        await asyncio.sleep(30)

    async def scenario(world: World) -> None:
        stopped = await asyncio.start_server(mute, "127.0.0.1", 0, limit=1024)
        a = Ear(world.spawn("a"))
        a.transport.set_servers({"id-b": f"127.0.0.1:{stopped.sockets[0].getsockname()[1]}"})
        await until(lambda: a.transport.connected("id-b"))
        for round in range(200):  # 200 MiB
            a.transport.send("id-b", beat("id-a", round, bytes(1 << 20)))
            await asyncio.sleep(0)
        assert a.node.counts["rpc.raft_dropped"] > 150
        assert a.transport.connected("id-b")
        stopped.close()

    play(scenario)


def test_one_server_does_not_speak_for_another(play: Play) -> None:
    async def scenario(world: World) -> None:
        a, b = await pair(world)
        a.transport.send("id-b", PreVote("id-c", 9, 1, 1, 1))
        await until(lambda: b.node.counts["rpc.refused", Reason.GARBAGE] == 1)
        assert not b.heard

    play(scenario)


def test_garbage_inside_a_frame_ends_its_connection_only(play: Play) -> None:
    async def scenario(world: World) -> None:
        a, b = await pair(world)
        link = a.node.peers.link("id-b")
        assert link is not None
        link.send_raft(b"\xff\xff")
        await until(lambda: b.node.counts["rpc.refused", Reason.GARBAGE] == 1)
        assert b.transport.connected("id-a")  # the other direction stands
        await until(lambda: a.transport.epoch("id-b") > 1)
        a.transport.send("id-b", beat("id-a"))
        await until(lambda: b.heard)

    play(scenario)


def test_a_server_that_was_removed_or_moved(play: Play) -> None:
    async def scenario(world: World) -> None:
        a, b = await pair(world)
        a.transport.set_servers({"id-a": a.node.address})
        assert not a.transport.connected("id-b")
        assert a.connections[-1] == "id-b"
        moved = Ear(world.spawn("b2", node_id="id-b"))
        a.transport.set_servers({"id-a": a.node.address, "id-b": moved.node.address})
        await until(lambda: a.transport.connected("id-b"))
        a.transport.send("id-b", beat("id-a"))
        await until(lambda: moved.heard)
        assert not b.heard

    play(scenario)
