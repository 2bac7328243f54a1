"""Python services that speak the mesh's TLS themselves, at a real agent: identities, intentions, rotation."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from meshtest.process import AgentProcess
from meshtest.sidecars import free_port

from meshagent.connect.native import SOURCE, MeshService
from meshagent.errors import Unavailable


class Api:
    """A native service: tells who called."""

    def __init__(self, mesh: MeshService, port: int) -> None:
        app = web.Application(middlewares=[mesh.middleware])
        app.router.add_get("/", self.hello)
        self.runner = web.AppRunner(app)
        self.mesh, self.port = mesh, port
        self.served = 0

    async def hello(self, request: web.Request) -> web.Response:
        self.served += 1
        return web.Response(text=f"hello {request[SOURCE].rsplit('/', 1)[1]}")

    async def __aenter__(self) -> Api:
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", self.port, ssl_context=self.mesh.server_context).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.runner.cleanup()


async def until(agent: AgentProcess, what: str, condition: Any) -> None:
    """Wait without holding the loop."""
    for _ in range(600):
        if await condition():
            return
        await asyncio.sleep(0.1)
    raise AssertionError(what)


async def test_native_services(agent: AgentProcess) -> None:
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, lambda: agent.wait("CA roots", lambda: agent.get("/v1/connect/ca/roots")["Roots"]))
    port = free_port()
    definition = {"Name": "api", "Port": port, "Address": "127.0.0.1", "Connect": {"Native": True}}
    assert agent.put("/v1/agent/service/register", definition).status == 200
    async with (
        MeshService("api", agent.url) as api,
        MeshService("web", agent.url) as caller,
        Api(api, port) as served,
        aiohttp.ClientSession() as session,
    ):

        async def ask(service: str = "api") -> tuple[int, str]:
            try:
                async with session.get(
                    f"https://127.0.0.1:{port}/",
                    ssl=caller.client_context(service),
                    headers={"Connection": "close"},
                    timeout=aiohttp.ClientTimeout(total=30),
                ) as answer:
                    return answer.status, await answer.text()
            except (aiohttp.ClientError, ConnectionError) as error:
                return 0, str(error)

        async def registered() -> bool:
            return await caller.resolve("api") == [("127.0.0.1", port)]

        await until(agent, "the instance", registered)
        assert await ask() == (200, "hello web")

        status, reason = await ask("db")
        assert status == 0
        assert "peer certificate mismatch" in reason

        anonymous = ssl.create_default_context()
        anonymous.check_hostname, anonymous.verify_mode = False, ssl.CERT_NONE

        def stranger() -> bytes:
            with socket.create_connection(("127.0.0.1", port), timeout=30) as raw, anonymous.wrap_socket(raw) as tls:
                tls.sendall(b"GET / HTTP/1.1\r\nHost: api\r\n\r\n")
                return tls.recv(100)

        before = served.served
        try:
            assert await loop.run_in_executor(None, stranger) == b""
        except OSError:
            pass
        assert served.served == before

        path = "/v1/connect/intentions/exact?source=web&destination=api"
        # a connection that is open is refused at its next request
        async with session.get(f"https://127.0.0.1:{port}/", ssl=caller.client_context("api")) as answer:
            assert answer.status == 200
        assert agent.put(path, {"Action": "deny"}).status == 200

        async def denied() -> bool:
            return (await ask())[0] != 200

        await until(agent, "the deny", denied)
        assert agent.put(path, {"Action": "allow"}).status == 200

        async def allowed() -> bool:
            return (await ask())[0] == 200

        await until(agent, "the allow", allowed)

        old = api.snapshot.leaf_chain
        config = {"Provider": "consul", "Config": {"PrivateKeyBits": 384}}
        assert agent.put("/v1/connect/ca/configuration", config).status == 200

        async def rotated() -> bool:
            assert await ask() == (200, "hello web"), "not one request is lost while the root changes"
            return api.snapshot.leaf_chain != old and len(caller.snapshot.roots) == 2

        await until(agent, "a new leaf", rotated)
        assert await ask() == (200, "hello web")

        await loop.run_in_executor(None, agent.kill)
        assert await ask() == (200, "hello web"), "the agent is away"
        with pytest.raises(Unavailable):
            await caller.resolve("api")


async def test_without_an_agent_it_says_so() -> None:
    with pytest.raises(Unavailable, match="no leaf certificate of web"):
        async with MeshService("web", f"127.0.0.1:{free_port()}", ready_s=0.2):
            pass
