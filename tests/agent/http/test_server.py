from __future__ import annotations

import asyncio
import ssl
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from meshtest.certificates import self_signed
from meshtest.httpapi import Api, Wire, request

from meshagent.agent.http.settings import HttpSettings

MakeApi = Callable[..., Awaitable[Api]]


async def test_c31_unix_socket(api: Api, tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    await api.server.listen_unix(path, mode=0o660)
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    wire = Wire(*await asyncio.open_unix_connection(str(path)))
    for _ in range(2):
        assert (await wire.ask("GET", "/v1/status/leader")).status == 200
    wire.writer.close()
    await api.server.stop(0.1)
    assert not path.exists()


async def test_c31_a_stale_socket_is_replaced_and_a_file_is_not(api: Api, tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    await api.server.listen_unix(path)
    await api.server.listen_unix(path)
    other = tmp_path / "file"
    other.write_text("keep me")
    with pytest.raises(FileExistsError):
        await api.server.listen_unix(other)
    assert other.read_text() == "keep me"


async def test_c31_an_unknown_owner_is_an_error(api: Api, tmp_path: Path) -> None:
    with pytest.raises((LookupError, OSError)):
        await api.server.listen_unix(tmp_path / "http.sock", user="no-such-user-here")


async def test_c24_a_unix_socket_may_write(make_api: MakeApi, tmp_path: Path) -> None:
    import ipaddress

    api = await make_api(HttpSettings(allow_write_from=(ipaddress.ip_network("10.0.0.0/8"),)))
    await api.server.listen_unix(tmp_path / "http.sock")
    wire = Wire(*await asyncio.open_unix_connection(str(tmp_path / "http.sock")))
    assert (await wire.ask("PUT", "/v1/kv/a", b"1")).text == "true"
    wire.writer.close()


async def test_several_listeners_and_one_that_is_taken(api: Api) -> None:
    _, port = await api.server.listen("127.0.0.1", 0)
    wire = Wire(*await asyncio.open_connection("127.0.0.1", port))
    assert (await wire.ask("GET", "/v1/status/leader")).status == 200
    wire.writer.close()
    with pytest.raises(OSError, match="ddress already in use"):
        await api.server.listen("127.0.0.1", port)


async def test_tls(api: Api, tmp_path: Path) -> None:
    certificate = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    _, port = await api.server.listen("127.0.0.1", 0, context)
    trust = ssl.create_default_context(cafile=str(certificate))
    wire = Wire(*await asyncio.open_connection("127.0.0.1", port, ssl=trust, server_hostname="localhost"))
    for _ in range(3):
        assert (await wire.ask("PUT", "/v1/kv/a", b"1")).text == "true"
        assert (await wire.ask("GET", "/v1/kv/a?raw")).text == "1"
    assert api.hits == 2
    wire.writer.close()


async def test_another_certificate_takes_over_the_socket(api: Api, tmp_path: Path) -> None:
    """Who is connected stays; who connects from then on sees the other one, on the same port."""
    contexts, trusts = [], []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        certificate = self_signed(tmp_path / name)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        contexts.append(context)
        trusts.append(ssl.create_default_context(cafile=str(certificate)))
    _, port = await api.server.listen("127.0.0.1", 0, contexts[0])

    async def connect(trust: ssl.SSLContext) -> Wire:
        return Wire(*await asyncio.open_connection("127.0.0.1", port, ssl=trust, server_hostname="localhost"))

    standing = await connect(trusts[0])
    assert (await standing.ask("GET", "/v1/status/leader")).status == 200
    for _ in range(2):
        await api.server.secure(contexts[1])
        fresh = await connect(trusts[1])
        assert (await fresh.ask("GET", "/v1/status/leader")).status == 200
        fresh.writer.close()
    with pytest.raises(ssl.SSLError):
        await connect(trusts[0])
    assert (await standing.ask("GET", "/v1/status/leader")).status == 200
    standing.writer.close()


async def test_stopping_ends_idle_connections_and_lets_a_request_finish(make_api: MakeApi) -> None:
    api = await make_api()
    idle, busy = await api.connect(), await api.connect()
    await idle.ask("GET", "/v1/kv/?keys")
    busy.send(request("GET", "/v1/kv/a?index=9&wait=100ms"))
    await asyncio.sleep(0.02)
    stopping = asyncio.ensure_future(api.server.stop(5))
    answer = await busy.answer()
    assert (answer.status, answer.headers["connection"]) == (404, "close")
    await stopping
    assert await idle.closed()
    with pytest.raises(OSError, match=r"Connect call failed|refused"):
        await asyncio.open_connection("127.0.0.1", api.port)


async def test_connections_are_counted_down(api: Api) -> None:
    for _ in range(5):
        await api.get("/v1/kv/?keys", Connection="close")
    for _ in range(100):
        await asyncio.sleep(0.01)
        if not api.server._per_client:
            break
    assert api.server._per_client == {}
