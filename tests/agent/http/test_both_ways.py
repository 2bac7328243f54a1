"""Whatever bytes come, in whatever pieces: with shortcuts a connection answers what it answers without."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from meshtest.httpapi import instance, make_agent, request

from meshagent.agent.http.connection import Connection
from meshagent.agent.http.server import HttpServer
from meshagent.agent.http.settings import HttpSettings
from meshagent.catalog import commands


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name == "peername" else default

    def write(self, data: Any) -> None:
        if not self.closed:
            self.written += bytes(data)

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        return

    def resume_reading(self) -> None:
        return


async def talk(pieces: list[bytes], *, shortcuts: bool) -> tuple[bytes, bool]:
    """What an agent writes for the pieces, without dates, and whether it closes."""
    agent = make_agent()
    for number in range(3):
        await agent.write(instance("a", "web", number=number))
    await agent.write(commands.KVSet("a", b"old"))
    server = HttpServer(agent, HttpSettings(kv_max_value_size=64))
    connection = Connection(server, asyncio.get_running_loop())
    if not shortcuts:
        connection._clean = False  # never sure where a request begins: aiohttp gets it all
        server.shortcuts = server._shortcut = False
    transport = Transport()
    connection.connection_made(transport)
    for piece in pieces:
        if transport.closed:
            break
        connection.data_received(piece)
        for _ in range(3):
            await asyncio.sleep(0)
    for _ in range(300):
        await asyncio.sleep(0)
    closed = transport.closed
    connection.connection_lost(None)
    await server.stop(0)
    return re.sub(rb"Date: [^\r]*\r\n", b"", transport.written), closed


whole = st.sampled_from(
    [
        request("GET", "/v1/kv/a?raw"),
        request("GET", "/v1/kv/a?raw", User_Agent="x"),
        request("GET", "/v1/health/service/web?passing"),
        request("GET", "/v1/kv/missing"),
        request("GET", "/v1/nothing"),
        request("GET", "/v1/kv/%zz"),
        request("GET", "/v1//kv/a"),
        request("PUT", "/v1/kv/a", b"new"),
        request("PUT", "/v1/kv/a", b""),
        request("PUT", "/v1/kv/a?cas=1", b"cas"),
        request("PUT", "/v1/kv/big", b"x" * 65),
        request("PUT", "/v1/kv/a", request("GET", "/v1/kv/a")[:40]),
        request("DELETE", "/v1/kv/a"),
        request("GET", "/v1/kv/a?raw", Connection="close"),
        request("GET", "/v1/kv/a", b"with a body"),
        b"PUT /v1/kv/c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"GET /v1/kv/a?raw HTTP/1.0\r\n\r\n",
        b"\r\n",
        b"GET /v1/kv/a HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        b"garbage\r\n\r\n",
    ]
)


@st.composite
def streams(draw: Any) -> list[bytes]:
    """Requests one after the other, cut at any places."""
    data = b"".join(draw(st.lists(whole, min_size=1, max_size=8)))
    style = draw(st.sampled_from(["requests", "cuts", "tail"]))
    if style == "requests":
        return list(draw(st.lists(whole, min_size=1, max_size=8)))
    if style == "tail":  # a partial head may be refused later, when it has ended
        data += draw(
            st.sampled_from([b"G", b"GET /v1/kv/a HT", b"PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\n", b"\x16\x03\x01"])
        )
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=6)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True) if start < end]


GET = request("GET", "/v1/kv/a?raw")
PUT = request("PUT", "/v1/kv/a", b"new")


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(streams())
@example([GET, GET, PUT, GET, GET])
@example([GET, PUT + GET, GET])
@example([PUT[:-1], PUT[-1:] + GET, GET])
@example([PUT[:20], PUT[20:], GET, GET])
@example([GET[:-2], GET[-2:] + GET[:5], GET[5:], GET])
def test_the_same_answers_in_the_same_order(pieces: list[bytes]) -> None:
    assert asyncio.run(talk(pieces, shortcuts=True)) == asyncio.run(talk(pieces, shortcuts=False))


def test_the_shortcuts_are_taken() -> None:
    async def hits() -> int:
        agent = make_agent()
        server = HttpServer(agent, HttpSettings())
        connection = Connection(server, asyncio.get_running_loop())
        connection.connection_made(Transport())
        for _ in range(4):
            connection.data_received(request("GET", "/v1/kv/?keys"))
            for _ in range(20):
                await asyncio.sleep(0)
        count = sum(entry.hits for entry in server.hot.entries.values())
        connection.connection_lost(None)
        await server.stop(0)
        return count

    assert asyncio.run(hits()) == 3
