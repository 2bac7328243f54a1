"""Which protocol a TLS connection speaks (C31)."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
from meshtest.certificates import self_signed
from meshtest.h2client import H2Client
from meshtest.httpapi import Api, Wire

from meshagent.agent.http.door import ALPN


@pytest.fixture
async def secured(api: Api, tmp_path: Path) -> Any:
    """(port, file of the authority) of a TLS listener."""
    certificate = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.set_alpn_protocols(list(ALPN))
    _, port = await api.server.listen("127.0.0.1", 0, context)
    return port, certificate


async def connected(secured: Any, *offered: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    port, certificate = secured
    trust = ssl.create_default_context(cafile=str(certificate))
    if offered:
        trust.set_alpn_protocols(list(offered))
    return await asyncio.open_connection("127.0.0.1", port, ssl=trust, server_hostname="localhost")


@pytest.mark.parametrize("offered", [(), ("http/1.1",), ("spdy/3",)])
async def test_http_1_for_who_does_not_offer_h2(secured: Any, api: Api, offered: tuple[str, ...]) -> None:
    wire = Wire(*await connected(secured, *offered))
    for _ in range(3):
        assert (await wire.ask("PUT", "/v1/kv/a", b"1")).text == "true"
        assert (await wire.ask("GET", "/v1/kv/a?raw")).text == "1"
    assert api.hits == 2 and not api.server.http2
    wire.writer.close()


async def test_h2_for_who_offers_it(secured: Any, api: Api) -> None:
    two = H2Client(*await connected(secured, "h2", "http/1.1"))
    assert (await two.request("PUT", "/v1/kv/a", b"1")).text == "true"
    value = b"z" * 400_000
    assert (await two.request("PUT", "/v1/kv/large", value)).text == "true"
    assert (await two.request("GET", "/v1/kv/large?raw")).body == value
    assert len(api.server.http2) == 1
    await two.close()
