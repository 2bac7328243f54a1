"""I/O edge: an HTTP application for tests of sidecars: it says what it was asked, and misbehaves on demand.

Used by tests/e2e. What may change here: further ways to misbehave.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any

from aiohttp import WSMsgType, web

__all__ = ["Answer", "HttpApp", "ask"]


class Answer:
    """Status, headers (lower case) and body of an answer."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self) -> str:
        return self.body.decode()


def ask(
    port: int, path: str = "/", method: str = "GET", body: Any = None, headers: dict[str, str] | None = None,
    timeout_s: float = 30.0, tls: ssl.SSLContext | None = None, server_name: str = "",
) -> Answer:  # fmt: skip
    """One request on a connection of its own; with `tls` over TLS, with that server name."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        if tls is not None:
            plain = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
            connection.sock = tls.wrap_socket(plain, server_hostname=server_name or None)
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, found, answer.read())
    finally:
        connection.close()


class HttpApp:
    """An aiohttp server in a thread. `/echo` gives the body back, `/headers` what it was sent, `/status/N` a status,
    `/flaky/N` 503 the first N times, `/hang` nothing, `/reset` a reset, `/lie` too short a body, `/ws` echoes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = 0
        self.seen: list[str] = []
        self.failures = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(30)

    def close(self) -> None:
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(30)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(30)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._start())
        self._ready.set()
        self._loop.run_forever()
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self._loop.close()

    async def _start(self) -> None:
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/echo", self._echo)
        app.router.add_route("*", "/status/{code}", self._status)
        app.router.add_route("*", "/flaky/{times}", self._flaky)
        app.router.add_route("*", "/hang", self._hang)
        app.router.add_route("*", "/reset", self._reset)
        app.router.add_route("*", "/lie", self._lie)
        app.router.add_route("*", "/ws", self._ws)
        app.router.add_route("*", "/{rest:.*}", self._headers)
        runner = self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]

    async def _headers(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request.path_qs)
        headers = {name.lower(): value for name, value in request.headers.items()}
        found = {"app": self.name, "method": request.method, "path": request.path_qs, "headers": headers}
        return web.json_response(found, headers={"x-app": self.name, "x-secret": "1"})

    async def _echo(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"x-app": self.name})
        await response.prepare(request)
        async for piece in request.content.iter_any():
            await response.write(piece)
        await response.write_eof()
        return response

    async def _status(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request.path_qs)
        return web.Response(status=int(request.match_info["code"]), text=self.name)

    async def _flaky(self, request: web.Request) -> web.StreamResponse:
        self.failures += 1
        bad = self.failures <= int(request.match_info["times"])
        return web.Response(status=503 if bad else 200, text=f"{self.name} {self.failures}")

    async def _hang(self, request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(600)
        return web.Response()

    async def _reset(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async def _lie(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")  # type: ignore[attr-defined]
        request.transport.close()
        return web.Response()

    async def _ws(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await socket.send_str(f"{self.name}: {message.data}")
        return socket


@contextlib.contextmanager
def http_app(name: str) -> Iterator[HttpApp]:
    """An application that ends with the block."""
    app = HttpApp(name)
    try:
        yield app
    finally:
        app.close()
