"""Asking sidecars at their sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from meshagent.agent.sidecars import here
from meshagent.errors import BadRequest, InternalError, TooLarge, Unavailable

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]
OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"


@asynccontextmanager
async def sidecar(path: Path, *pieces: bytes, stay: bool = False) -> AsyncIterator[list[bytes]]:
    """One that answers so, and then ends the connection (or says nothing more)."""
    asked: list[bytes] = []
    serving: list[asyncio.Task[Any]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(asyncio.current_task())  # type: ignore[arg-type]
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if stay:
            await reader.read()
        writer.close()

    server = await asyncio.start_unix_server(serve, path)
    async with server:
        yield asked
        await asyncio.gather(*serving, return_exceptions=True)  # whoever asked has closed


async def test_a_page(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    async with sidecar(path, OK + b'{"a"', b":1}") as asked:
        assert await here.page(path, "/edges") == b'{"a":1}'
    assert asked[0].startswith(b"GET /edges HTTP/1.1\r\n")


async def test_lines_of_a_tap_come_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    async with sidecar(path, OK, b'{"a":1}\n{"b"', b":2}\n\n", stay=True) as asked:
        lines = here.tap_lines(path, (("path", "/x y&z"),))
        got = b""
        while got != b'{"a":1}\n{"b":2}\n':
            got += await anext(lines)
        await lines.aclose()
    assert asked[0].startswith(b"GET /tap?path=%2Fx+y%26z HTTP/1.1\r\n")


async def test_a_sign_of_life_is_passed_on(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    async with sidecar(path, OK, b"\n", stay=True), aclosing(here.tap_lines(path, ())) as lines:
        assert await anext(lines) == b""


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\nno such filter: x\n", BadRequest, "no such filter: x"),
        (b"HTTP/1.1 404 Not Found\r\n\r\nno such page\n", InternalError, "404: no such page"),
        (b"SSH-2.0\r\n\r\n", InternalError, "no HTTP"),
        (b"HTTP/1.1 200", Unavailable, "does not answer"),
        (b"x" * 100_000, Unavailable, "does not answer"),
    ],
)
async def test_other_answers(tmp_path: Path, answer: bytes, error: type[Exception], words: str) -> None:
    path = tmp_path / "a.sock"
    async with sidecar(path, answer):
        with pytest.raises(error, match=words):
            await here.page(path, "/edges")
        with pytest.raises(error, match=words):
            await anext(here.tap_lines(path, ()))


async def test_nobody_is_there(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"nothing listens at .*the agent's user"):
        await here.page(tmp_path / "none.sock", "/edges")


async def test_what_is_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(here, "MAX_PAGE_BYTES", 100_000)
    monkeypatch.setattr(here, "MAX_LINE_BYTES", 100_000)
    path = tmp_path / "a.sock"
    async with sidecar(path, OK, b"x" * 300_000, stay=True):
        with pytest.raises(TooLarge, match="more than 100000 bytes"):
            await here.page(path, "/edges")
        with pytest.raises(TooLarge, match="more than 100000 bytes"):
            await anext(here.tap_lines(path, ()))


async def test_who_says_nothing_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(here, "TIMEOUT_S", 0.05)
    path = tmp_path / "a.sock"
    async with sidecar(path, stay=True):
        with pytest.raises(Unavailable, match="timed out"):
            await here.page(path, "/edges")


def test_where_a_sidecar_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESHAGENT_PROXY_DIR", "/x")
    assert here.socket_for("web-sidecar-proxy") == Path("/x/web-sidecar-proxy.sock")
