"""Limits and timeouts of a sidecar at its sockets: who is let in, instances that say nothing, applications away."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest
from meshtest.httpapp import http_app
from meshtest.meshcerts import TrustDomain
from meshtest.ownsidecars import PATIENCE_S, calling, running, serving
from meshtest.sidecars import Echo, free_port

TD = TrustDomain()
GET = b"GET / HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n"


@pytest.fixture(autouse=True)
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESHAGENT_PROXY_DIR", str(tmp_path / "p"))


async def answer(port: int, data: bytes = GET) -> bytes:
    """All that comes back; b"" when the connection is cut."""
    got = b""
    with contextlib.suppress(ConnectionError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(data)
        got = await asyncio.wait_for(reader.read(), PATIENCE_S)
        writer.transport.abort()
    return got


@pytest.mark.parametrize("protocol", ["tcp", "http"])
async def test_so_many_peers_come_in_and_no_more(tmp_path: Path, protocol: str) -> None:
    with http_app("api") as app:
        async with running(TD, tmp_path, serving(TD, protocol, app.port, max_connections=1)) as one:
            leaf = TD.leaf("web")
            reader, writer = await one.connect(leaf)
            writer.write(GET.replace(b"close", b"keep-alive"))
            assert (await asyncio.wait_for(reader.readline(), PATIENCE_S)).startswith(b"HTTP/1.1 200")
            assert await one.ask(leaf, GET) == b""
            assert one.sidecar.tallies.refused == 1
            writer.transport.abort()
            async with asyncio.timeout(PATIENCE_S):
                while not (await one.ask(leaf, GET)).startswith(b"HTTP/1.1 200"):
                    await asyncio.sleep(0.01)


@pytest.mark.parametrize("protocol", ["tcp", "http", "grpc"])
async def test_an_instance_that_says_nothing_is_given_up(tmp_path: Path, protocol: str) -> None:
    """It takes the connection and never answers the handshake."""
    port, instance = free_port(), free_port()
    open_ones: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(lambda _, writer: open_ones.append(writer), "127.0.0.1", instance)
    async with running(TD, tmp_path, calling(TD, protocol, port, instance, connect_timeout_ms=200)) as web:
        got = await answer(port)
        assert got == b"" if protocol == "tcp" else got.startswith(b"HTTP/1.1 503 ")
        ((_, cluster),) = web.sidecar.clusters.all()
        assert cluster.hosts[0].unreached >= 1
        if protocol != "tcp":
            assert b"connection timeout" in got
    silent.close()
    for writer in open_ones:
        writer.transport.abort()


@pytest.mark.parametrize("protocol", ["tcp", "http"])
async def test_an_application_that_is_away(tmp_path: Path, protocol: str) -> None:
    async with running(TD, tmp_path, serving(TD, protocol, free_port(), connect_timeout_ms=500)) as one:
        got = await one.ask(TD.leaf("web"), GET)
        assert got == b"" if protocol == "tcp" else got.startswith(b"HTTP/1.1 503 ")


async def test_an_instance_is_back_as_soon_as_it_listens(tmp_path: Path) -> None:
    """Registered before its sidecar was there: callers do not leave it alone for half a minute."""
    app, port = Echo(), free_port()
    api = serving(TD, "tcp", app.port)
    assert api.inbound is not None
    wanted = {"max_failures": 1, "max_ejection_percent": 100, "base_ejection_time": "1h"}
    caller = calling(TD, "tcp", port, api.inbound.port, passive_health_check=wanted)
    async with running(TD, tmp_path, caller) as web:
        ((_, cluster),) = web.sidecar.clusters.all()
        assert await answer(port, b"x") == b""
        assert cluster.hosts[0].ejected
        async with running(TD, tmp_path, api):
            async with asyncio.timeout(PATIENCE_S):
                while cluster.hosts[0].ejected:
                    await asyncio.sleep(0.01)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"hello")
            assert await asyncio.wait_for(reader.readexactly(5), PATIENCE_S) == b"hello"
            writer.transport.abort()
    app.close()
