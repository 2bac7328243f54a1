"""The edge to other name servers, against servers on loopback."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import dns.flags
import dns.message
import dns.rrset
import pytest

from meshagent.clock import SystemClock
from meshagent.dns.settings import DnsSettings
from meshagent.dns.upstream import Upstream
from meshagent.dns.wire import SRV, A, text_of_name

QUERY = dns.message.make_query("www.example.com", "A", id=0x1234).to_wire()


class NameServer(asyncio.DatagramProtocol):
    """Answers over UDP and TCP what `say` makes of the question; None is silence."""

    def __init__(self, say: Callable[[dns.message.Message, bool], dns.message.Message | bytes | None]) -> None:
        self.say = say
        self.seen: list[tuple[dns.message.Message, bool, Any]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        reply = self.reply(data, False, addr)
        if reply is not None:
            self.transport.sendto(reply, addr)  # type: ignore[attr-defined]

    def reply(self, data: bytes, tcp: bool, addr: Any) -> bytes | None:
        asked = dns.message.from_wire(data)
        self.seen.append((asked, tcp, addr))
        said = self.say(asked, tcp)
        return said.to_wire() if isinstance(said, dns.message.Message) else said

    async def stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        reply = self.reply(data, True, None)
        if reply is not None:
            writer.write(len(reply).to_bytes(2, "big") + reply)
            await writer.drain()
        writer.close()


def says(*texts: str, rcode: int = 0, truncated: bool = False) -> Callable[..., dns.message.Message]:
    def say(asked: dns.message.Message, tcp: bool) -> dns.message.Message:
        made = dns.message.make_response(asked)
        made.set_rcode(dns.rcode.Rcode(rcode))
        if truncated and not tcp:
            made.flags |= dns.flags.TC
        else:
            for text in texts:
                name, kind, value = text.split()
                if dns.rdatatype.from_text(kind) == asked.question[0].rdtype or kind == "CNAME":
                    made.answer.append(dns.rrset.from_text(name, 60, "IN", kind, value))
        return made

    return say


@pytest.fixture
async def serve() -> AsyncIterator[Callable[..., Any]]:
    opened: list[Any] = []

    async def start(say: Callable[..., Any]) -> tuple[NameServer, str]:
        loop = asyncio.get_running_loop()
        server = NameServer(say)
        streams = await asyncio.start_server(server.stream, "127.0.0.1", 0)
        port = streams.sockets[0].getsockname()[1]
        transport, _ = await loop.create_datagram_endpoint(lambda: server, local_addr=("127.0.0.1", port))
        opened.extend((streams, transport))
        return server, f"127.0.0.1:{port}"

    yield start
    for one in opened:
        one.close()


def upstream(*servers: str, **more: Any) -> Upstream:
    settings = DnsSettings(recursors=servers, recursor_timeout_s=more.pop("timeout_s", 0.1), **more)
    return Upstream(settings, SystemClock(), random.SystemRandom())


@pytest.mark.parametrize("tcp", [False, True])
async def test_forwards_over_the_clients_transport(serve: Any, tcp: bool) -> None:
    # D31
    server, where = await serve(says("www.example.com. A 1.2.3.4"))
    reply = await upstream(where).forward(QUERY, tcp)
    assert reply is not None
    parsed = dns.message.from_wire(reply)
    assert (parsed.id, str(parsed.answer[0][0])) == (0x1234, "1.2.3.4")
    assert [seen[1] for seen in server.seen] == [tcp]


async def test_ids_and_ports_are_random(serve: Any) -> None:
    server, where = await serve(says("www.example.com. A 1.2.3.4"))
    asking = upstream(where)
    for _ in range(8):
        await asking.forward(QUERY, False)
    assert len({seen[0].id for seen in server.seen}) >= 7
    assert len({seen[2][1] for seen in server.seen}) >= 7


@pytest.mark.parametrize("tcp", [False, True])
async def test_the_next_is_asked_when_one_is_silent_refuses_or_fails(serve: Any, tcp: bool) -> None:
    _, silent = await serve(lambda asked, tcp: None)
    _, failing = await serve(says(rcode=2))
    server, good = await serve(says("www.example.com. A 1.2.3.4"))
    reply = await upstream("127.0.0.1:1", silent, failing, good).forward(QUERY, tcp)
    assert reply is not None and len(server.seen) == 1


@pytest.mark.parametrize("tcp", [False, True])
async def test_nobody_answers(tcp: bool) -> None:
    assert await upstream("127.0.0.1:1").forward(QUERY, tcp) is None


async def test_forged_replies_are_not_taken(serve: Any) -> None:
    def wrong_id(asked: dns.message.Message, tcp: bool) -> dns.message.Message:
        made = says("www.example.com. A 6.6.6.6")(asked, tcp)
        made.id ^= 1
        return made

    _, where = await serve(wrong_id)
    assert await upstream(where).forward(QUERY, False) is None


async def test_equal_questions_share_one_lookup(serve: Any) -> None:
    server, where = await serve(says("www.example.com. A 1.2.3.4"))
    asking = upstream(where)
    replies = await asyncio.gather(*(asking.forward(bytes((0, n)) + QUERY[2:], False) for n in range(20)))
    assert [reply[:2] for reply in replies if reply is not None] == [bytes((0, n)) for n in range(20)]
    assert len(server.seen) == 1


class TestAddresses:
    """D15: outside host names for our own answers."""

    async def test_of_the_asked_family(self, serve: Any) -> None:
        server, where = await serve(
            says("e.example.com. CNAME f.example.com.", "f.example.com. A 1.2.3.4", "f.example.com. AAAA ::1")
        )
        found = await upstream(where).addresses("e.example.com", A)
        assert [text_of_name(rr[0]) for rr in found] == ["e.example.com.", "f.example.com."]
        assert len(server.seen) == 1

    async def test_of_both_for_other_types(self, serve: Any) -> None:
        _, where = await serve(
            says("e.example.com. CNAME f.example.com.", "f.example.com. A 1.2.3.4", "f.example.com. AAAA ::1")
        )
        assert len(await upstream(where).addresses("e.example.com", SRV)) == 3

    async def test_over_tcp_when_cut(self, serve: Any) -> None:
        server, where = await serve(says("e.example.com. A 1.2.3.4", truncated=True))
        assert len(await upstream(where).addresses("e.example.com", A)) == 1
        assert [seen[1] for seen in server.seen] == [False, True]

    async def test_none(self, serve: Any) -> None:
        _, where = await serve(says(rcode=3))
        assert await upstream(where).addresses("e.example.com", A) == ()
        assert await upstream("127.0.0.1:1").addresses("e.example.com", A) == ()
        assert await upstream(where).addresses("a..b", A) == ()

    async def test_a_reply_that_cannot_be_read(self, serve: Any) -> None:
        def broken(asked: dns.message.Message, tcp: bool) -> bytes:
            whole = says("e.example.com. A 1.2.3.4")(asked, tcp).to_wire()
            return whole[:-20]

        _, where = await serve(broken)
        assert await upstream(where).addresses("e.example.com", A) == ()


async def test_new_settings_are_taken_up(serve: Any) -> None:
    _, where = await serve(says("www.example.com. A 1.2.3.4"))
    asking = upstream("127.0.0.1:1")
    assert await asking.forward(QUERY, False) is None
    asking.reconfigure(DnsSettings(recursors=(where,)))
    assert await asking.forward(QUERY, False) is not None
