"""The listener: who is let in, who is refused and counted, and that nobody else notices."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from meshagent.catalog.rpc import frames
from meshagent.catalog.rpc.frames import MAX_FRAME_BYTES, PREFACE, Hello, encode
from meshagent.catalog.rpc.hello import NEWEST, Peer
from meshagent.catalog.rpc.reasons import Reason
from meshagent.catalog.rpc.settings import RpcSettings
from meshagent.catalog.rpc.tls import Security, load_security

from .conftest import Node, Pki, Scenario, World, until

Play = Callable[[Scenario], None]
SERVER_NAME = "server.dc1.consul"


async def echo(_: Peer, payload: bytes) -> bytes:
    return payload


ECHO: dict[str, Any] = {"echo": echo}


async def raw(node: Node, data: bytes, context: ssl.SSLContext | None = None) -> bytes:
    """Send bytes as a stranger would; what came back until the end."""
    host, port = node.address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port), ssl=context)
    writer.write(data)
    try:
        return await asyncio.wait_for(reader.read(), 5)
    except (ConnectionError, ssl.SSLError):
        return b""
    finally:
        writer.close()


def stranger(pki: Pki, *, alpn: str = "meshagent/1", **leaf: Any) -> ssl.SSLContext:
    """A TLS client that believes anybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([alpn])
    if leaf:
        tls = pki.leaf(*leaf.pop("names"), **leaf)
        context.load_cert_chain(tls.cert_file, tls.key_file)
    return context


def hello(**changes: Any) -> bytes:
    values: dict[str, Any] = {
        "oldest": 1,
        "newest": 1,
        "cluster_id": "c1",
        "datacenter": "dc1",
        "node_id": "id-x",
        "node_name": "x",
        "role": "server",
        "epoch": 1,
    }
    return PREFACE + encode(Hello(**{**values, **changes}))


async def undisturbed(alice: Node, bob: Node) -> None:
    """The connection that stood before still does, on the same epoch."""
    link = alice.peers.link(bob.identity.node_id)
    assert link is not None
    assert await link.call("echo", b"still here", 5) == b"still here"
    assert alice.peers.epoch(bob.identity.node_id) == 1


GARBAGE = [
    (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", Reason.GARBAGE),
    (b"\x00" * 100, Reason.GARBAGE),
    (PREFACE + b"\xff" * 100, Reason.GARBAGE),
    (PREFACE + struct.pack(">I", frames.MAX_HELLO_BYTES + 1), Reason.GARBAGE),
    (hello() + struct.pack(">I", MAX_FRAME_BYTES + 1), Reason.GARBAGE),
    (hello() + encode(frames.Request(1, "m", 1, b""))[:-1] + b"\x91", Reason.GARBAGE),
    (hello(cluster_id="c2"), Reason.WRONG_CLUSTER),
    (hello(datacenter="dc2"), Reason.WRONG_DATACENTER),
    (hello(oldest=NEWEST + 1, newest=NEWEST + 2), Reason.VERSION),
    (hello(node_id="id-bob"), Reason.WRONG_NODE),
    (hello(role="client") + encode(frames.RaftMessage(b"x")), Reason.NOT_A_SERVER),
    (b"\x16\x03\x01\x00\x05", Reason.UNEXPECTED_TLS),
]


@pytest.mark.parametrize(("data", "reason"), GARBAGE)
def test_bad_input_over_tcp_is_refused_and_counted(play: Play, data: bytes, reason: Reason) -> None:
    async def scenario(world: World) -> None:
        alice, bob = world.spawn("alice"), world.spawn("bob", methods=ECHO)
        world.introduce(alice, bob)
        await alice.connected(bob)
        await raw(bob, data)
        assert bob.counts["rpc.refused", reason] == 1
        await undisturbed(alice, bob)
        assert sum(count for key, count in bob.counts.seen.items() if key[0] == "rpc.refused") == 1

    play(scenario)


def test_why_it_was_refused_is_told(play: Play) -> None:
    async def scenario(world: World) -> None:
        bob = world.spawn("bob")
        (goodbye,) = frames.FrameReader().feed(await raw(bob, hello(cluster_id="c2")))
        assert isinstance(goodbye, frames.Goodbye)
        assert goodbye.reason == "wrong_cluster"
        assert "empty data_dir" in goodbye.detail

    play(scenario)


TLS_CASES: list[tuple[str, Callable[[Pki], ssl.SSLContext], bytes, Reason]] = [
    ("no certificate", lambda pki: stranger(pki), hello(), Reason.CERTIFICATE),
    ("expired", lambda pki: stranger(pki, names=[SERVER_NAME], expired=True), hello(), Reason.CERTIFICATE),
    (
        "strange authority",
        lambda pki: stranger(pki, names=[SERVER_NAME], authority="strange"),
        hello(),
        Reason.CERTIFICATE,
    ),
    ("no server's name", lambda pki: stranger(pki, names=["client.dc1.consul"]), hello(), Reason.NOT_A_SERVER),
    ("other datacenter", lambda pki: stranger(pki, names=["server.dc2.consul"]), hello(), Reason.NOT_A_SERVER),
    (
        "a client's certificate and Raft messages",
        lambda pki: stranger(pki, names=["client.dc1.consul"]),
        hello(role="client") + encode(frames.RaftMessage(b"x")),
        Reason.NOT_A_SERVER,
    ),
    ("other protocol", lambda pki: stranger(pki, names=[SERVER_NAME], alpn="h2"), b"", Reason.ALPN),
    ("garbage in TLS", lambda pki: stranger(pki, names=[SERVER_NAME]), b"\xff" * 100, Reason.GARBAGE),
    ("other cluster", lambda pki: stranger(pki, names=[SERVER_NAME]), hello(cluster_id="c2"), Reason.WRONG_CLUSTER),
]


@pytest.mark.parametrize(("context", "data", "reason"), [case[1:] for case in TLS_CASES], ids=[c[0] for c in TLS_CASES])
def test_bad_input_over_tls_is_refused_and_counted(
    play: Play, pki: Pki, context: Callable[[Pki], ssl.SSLContext], data: bytes, reason: Reason
) -> None:
    async def scenario(world: World) -> None:
        security = load_security(pki.leaf(SERVER_NAME))
        alice, bob = world.spawn("alice", security=security), world.spawn("bob", security=security, methods=ECHO)
        world.introduce(alice, bob)
        await alice.connected(bob)
        try:
            await raw(bob, data, context(pki))
        except (ssl.SSLError, ConnectionError):
            pass
        await until(lambda: bob.counts["rpc.refused", reason] == 1)
        await undisturbed(alice, bob)

    play(scenario)


def test_plain_tcp_is_refused_where_there_is_a_certificate(play: Play, pki: Pki) -> None:
    async def scenario(world: World) -> None:
        bob = world.spawn("bob", security=load_security(pki.leaf(SERVER_NAME)))
        assert await raw(bob, hello()) == b""
        assert bob.counts["rpc.refused", Reason.PLAIN] == 1
        await raw(bob, b"\x16\x03\x01" + b"\xff" * 50)
        assert bob.counts["rpc.refused", Reason.GARBAGE] == 1

    play(scenario)


def test_a_client_needs_no_servers_certificate(play: Play, pki: Pki) -> None:
    async def scenario(world: World) -> None:
        security = load_security(pki.leaf(SERVER_NAME))
        bob = world.spawn("bob", security=security, methods=ECHO)
        client = world.spawn(
            "alice", security=load_security(pki.leaf("client.dc1.consul")), role="client", node_id="id-alice"
        )
        client.peers.set_servers({"id-bob": bob.address})
        await client.connected(bob)
        await undisturbed(client, bob)

    play(scenario)


def test_without_verify_server_hostname_any_certificate_of_ours_will_do(play: Play, pki: Pki) -> None:
    """As Consul: the option exists because without it any holder of a certificate can pose as a server."""

    async def scenario(world: World) -> None:
        tls = replace(pki.leaf("client.dc1.consul"), verify_server_hostname=False)
        security = load_security(tls)
        alice, bob = world.spawn("alice", security=security), world.spawn("bob", security=security, methods=ECHO)
        world.introduce(alice, bob)
        await alice.connected(bob)
        await undisturbed(alice, bob)

    play(scenario)


def test_one_address_has_so_many_connections_and_no_more(play: Play) -> None:
    async def scenario(world: World) -> None:
        bob = world.spawn("bob", settings=RpcSettings(max_conns_per_client=2))
        host, port = bob.address.split(":")
        first = [await asyncio.open_connection(host, int(port)) for _ in range(2)]
        assert await raw(bob, b"") == b""
        assert bob.counts["rpc.refused", Reason.TOO_MANY] == 1
        first[0][1].close()
        await until(lambda: bob.counts["rpc.refused", Reason.LOST] == 1)
        answer = await raw(bob, hello(cluster_id="c2"))  # room again: it is heard
        assert answer.startswith(PREFACE)
        first[1][1].close()

    play(scenario)


@pytest.mark.parametrize("data", [b"", PREFACE, hello()[:-3]])
def test_a_peer_that_does_not_finish_its_hello_is_closed(play: Play, data: bytes) -> None:
    async def scenario(world: World) -> None:
        bob = world.spawn("bob", settings=RpcSettings(handshake_timeout_s=0.05))
        await raw(bob, data)
        assert bob.counts["rpc.refused", Reason.HANDSHAKE_TIMEOUT] == 1
        assert not bob.server.links

    play(scenario)


def test_a_stalled_tls_handshake_is_closed(play: Play, pki: Pki) -> None:
    async def scenario(world: World) -> None:
        security = load_security(pki.leaf(SERVER_NAME))
        bob = world.spawn("bob", security=security, settings=RpcSettings(handshake_timeout_s=0.05))
        assert await raw(bob, b"\x16\x03\x01\x02\x00") == b""
        await until(lambda: bob.counts["rpc.refused", Reason.HANDSHAKE_TIMEOUT] == 1)
        assert not bob.server.links

    play(scenario)


def test_a_server_that_connects_again_ends_its_older_connection(play: Play) -> None:
    async def scenario(world: World) -> None:
        bob = world.spawn("bob")
        host, port = bob.address.split(":")
        older, writer = await asyncio.open_connection(host, int(port))
        writer.write(hello())
        await until(lambda: any(link.peer for link in bob.server.links))
        other = asyncio.ensure_future(raw(bob, hello(epoch=2)))
        *_, last = frames.FrameReader().feed(await asyncio.wait_for(older.read(), 5))
        assert isinstance(last, frames.Goodbye)
        assert last.reason == "superseded"
        (link,) = bob.server.links
        assert link.peer is not None
        assert (link.peer.epoch, link.number) == (2, 2)
        link.close()
        await other
        writer.close()

    play(scenario)


def test_a_peer_that_never_reads_is_closed_and_its_memory_bounded(play: Play) -> None:
    async def large(_: Peer, payload: bytes) -> bytes:
        return bytes(1 << 20)

    async def scenario(world: World) -> None:
        settings = RpcSettings(max_queued_bytes=2 << 20, ping_after_s=60)
        bob = world.spawn("bob", settings=settings, methods={"large": large})
        host, port = bob.address.split(":")
        deaf = socket.create_connection((host, int(port)))
        deaf.setblocking(False)
        deaf.sendall(hello() + b"".join(encode(frames.Request(id, "large", 1000, b"")) for id in range(1, 200)))
        await until(lambda: bob.counts["rpc.closed", Reason.SLOW] == 1)
        assert not bob.server.links
        deaf.close()

    play(scenario)


def test_ipv6_and_a_port_that_is_taken(play: Play) -> None:
    async def scenario(world: World) -> None:
        bob = world.spawn("bob")
        with pytest.raises(OSError, match="in use"):
            bob.server.listen("127.0.0.1", int(bob.address.split(":")[1]))
        try:
            host, port = bob.server.listen("::1", 0)
        except OSError:
            return  # no IPv6 on this machine
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(hello(cluster_id="c2"))
        assert (await reader.read()).startswith(PREFACE)
        writer.close()

    play(scenario)


def test_stopping_ends_connections_and_half_made_ones(play: Play, pki: Pki) -> None:
    async def scenario(world: World) -> None:
        security: Security = load_security(pki.leaf(SERVER_NAME))
        alice, bob = world.spawn("alice", security=security), world.spawn("bob", security=security, methods=ECHO)
        world.introduce(alice, bob)
        await alice.connected(bob)
        host, port = bob.address.split(":")
        _, silent = await asyncio.open_connection(host, int(port))
        _, stalled = await asyncio.open_connection(host, int(port))
        stalled.write(b"\x16\x03\x01")
        await until(lambda: bob.counts["rpc.accept_conn"] == 3)
        await bob.server.stop()
        await alice.disconnected(bob)
        assert not bob.server.links
        silent.close()
        stalled.close()

    play(scenario)
