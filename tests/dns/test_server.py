"""The sockets, on loopback."""

from __future__ import annotations

import asyncio
import logging
import random
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from meshtest.dnstext import answer_of, question_bytes

from meshagent.clock import SystemClock
from meshagent.dns.server import DnsServer
from meshagent.dns.settings import DnsSettings
from meshagent.errors import ConfigError
from meshagent.metrics import Metrics

WEB = question_bytes({"name": "web.service.consul", "type": "A"})


async def udp(address: tuple[str, int], *packets: bytes, replies: int = 1) -> list[bytes]:
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        await loop.sock_connect(client, address)
        for packet in packets:
            client.send(packet)
        return [await asyncio.wait_for(loop.sock_recv(client, 65536), 5) for _ in range(replies)]


async def tcp(address: tuple[str, int], packet: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(len(packet).to_bytes(2, "big") + packet)
    found = await asyncio.wait_for(reader.readexactly(int.from_bytes(await reader.readexactly(2), "big")), 5)
    writer.close()
    return found


@pytest.fixture
async def start(shop: Any) -> AsyncIterator[Callable[..., Any]]:
    servers: list[DnsServer] = []

    async def make(*hosts: str, metrics: Metrics | None = None, **settings: Any) -> DnsServer:
        made = DnsServer(shop.store, DnsSettings(**settings), SystemClock(), random.Random(1), metrics, "dc1", "n1")
        servers.append(made)
        await made.start([(host, 0) for host in hosts or ("127.0.0.1",)])
        return made

    yield make
    for one in servers:
        await one.stop()


async def test_both_transports_on_every_address(start: Any) -> None:
    hosts = ["127.0.0.1", "127.0.0.2"] + (["::1"] if socket.has_ipv6 else [])
    server = await start(*hosts)
    for address in server.addresses:
        assert answer_of((await udp(address, WEB))[0]).rcode == "NOERROR"
        assert answer_of(await tcp(address, WEB)).rcode == "NOERROR"


async def test_a_burst_is_answered_whole(start: Any) -> None:
    server = await start()
    packets = [number.to_bytes(2, "big") + WEB[2:] for number in range(150)]
    replies = await udp(server.addresses[0], *packets, replies=150)
    assert sorted(reply[:2] for reply in replies) == [packet[:2] for packet in packets]
    assert server.answered == 150


async def test_malformed_packets_are_survived_and_logged_once(start: Any, caplog: pytest.LogCaptureFixture) -> None:
    # D34
    server = await start()
    with caplog.at_level(logging.WARNING, "agent.dns"):
        junk = [b"", b"\x00", bytes(11), b"\x00\x01\x81\x00" + bytes(8)] * 10 + [bytes(12)]
        found = await udp(server.addresses[0], *junk, WEB, replies=2)
    assert answer_of(found[1]).rcode == "NOERROR"
    assert len(caplog.records) == 1 and "malformed" in caplog.records[0].getMessage()
    assert caplog.records[0].exc_info is None


async def test_a_failure_of_ours_is_servfail(start: Any, caplog: pytest.LogCaptureFixture) -> None:
    server = await start()
    broken: Any = server._responder

    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    broken.reply = fail
    with caplog.at_level(logging.ERROR, "agent.dns"):
        for _ in range(3):
            assert answer_of((await udp(server.addresses[0], WEB))[0]).rcode == "SERVFAIL"
        assert answer_of(await tcp(server.addresses[0], WEB)).rcode == "SERVFAIL"
    assert len(caplog.records) == 1


async def test_a_taken_port_is_refused_and_nothing_stays_open(start: Any, shop: Any) -> None:
    taken = (await start()).addresses[0]
    second = DnsServer(shop.store, DnsSettings(), SystemClock(), random.Random(1))
    with pytest.raises(
        ConfigError, match=r"ports.dns: cannot listen on 127\.0\.0\.1:\d+: address already in use: is another agent"
    ):
        await second.start([("127.0.0.3", taken[1]), taken])
    assert second.addresses == []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.3", taken[1]))


async def test_it_can_be_stopped_and_started_on_the_same_port(start: Any) -> None:
    server = await start()
    address = server.addresses[0]
    await tcp(address, WEB)
    await server.stop()
    await server.start([address])
    assert answer_of((await udp(address, WEB))[0]).rcode == "NOERROR"


async def test_reload(start: Any) -> None:
    # G4
    server = await start()
    for _ in range(3):
        await udp(server.addresses[0], WEB)
    server.reconfigure(DnsSettings(service_ttl_s={"web": 42}))
    assert " 42 IN A " in answer_of((await udp(server.addresses[0], WEB))[0]).sections["answer"][0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"recursors": ("dns.example.com",)}, "dns.example.com"), ({"recursor_strategy": "best"}, "recursor_strategy")],
)
async def test_settings_that_cannot_be_used_change_nothing(start: Any, settings: dict[str, Any], message: str) -> None:
    server = await start()
    with pytest.raises(ConfigError, match=message):
        server.reconfigure(DnsSettings(domain="mesh.", **settings))
    assert answer_of((await udp(server.addresses[0], WEB))[0]).rcode == "NOERROR"


async def test_recursors_over_the_whole_way(start: Any) -> None:
    # D31, D15: another of our servers is the recursor
    other = await start(domain="example.")
    host, port = other.addresses[0]
    server = await start(recursors=("127.0.0.1:1", f"{host}:{port}"))
    outside = question_bytes({"name": "web.service.example", "type": "A", "edns": 1232})
    for found in (await udp(server.addresses[0], outside))[0], await tcp(server.addresses[0], outside):
        assert sorted(answer_of(found).sections["answer"]) == [
            "web.service.example. 0 IN A 10.0.0.1",
            "web.service.example. 0 IN A 10.0.0.2",
        ]


async def test_host_names_of_ours_are_resolved_through_recursors(start: Any, shop: Any) -> None:
    shop.service("n1", "ext", address="n2.node.example")
    other = await start(domain="example.")
    host, port = other.addresses[0]
    server = await start(recursors=(f"{host}:{port}",))
    asked = question_bytes({"name": "ext.service.consul", "type": "A"})
    assert answer_of((await udp(server.addresses[0], asked))[0]).sections["answer"] == [
        "ext.service.consul. 0 IN CNAME n2.node.example.",
        "n2.node.example. 0 IN A 10.0.0.2",
    ]


async def test_recursors_that_do_not_answer(start: Any) -> None:
    server = await start(recursors=("127.0.0.1:1",), recursor_timeout_s=0.1)
    found = answer_of((await udp(server.addresses[0], question_bytes({"name": "www.example.com", "type": "A"})))[0])
    assert (found.rcode, found.flags) == ("SERVFAIL", ["qr", "rd", "ra"])


async def test_messages_that_came_another_way(start: Any) -> None:
    # D35
    server = await start(recursors=("127.0.0.1:1",), recursor_timeout_s=0.1)
    found = await server.query(WEB, tcp=True)
    assert answer_of(found).rcode == "NOERROR"
    assert answer_of(await server.query(question_bytes({"name": "a.b", "type": "A"}), tcp=False)).rcode == "SERVFAIL"
    assert await server.query(b"", tcp=False) is None


async def test_metrics(start: Any) -> None:
    # G42
    metrics = Metrics()
    server = await start(metrics=metrics)
    pointer = question_bytes({"name": "1.0.0.10.in-addr.arpa", "type": "PTR"})
    await udp(server.addresses[0], WEB, WEB, pointer, replies=3)
    rows = {row["Name"]: row["Count"] for row in metrics.display(SystemClock().now())["Samples"]}
    assert rows == {"consul.dns.domain_query": 3, "consul.dns.ptr_query": 1}
