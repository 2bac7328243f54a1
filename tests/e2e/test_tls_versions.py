"""Callers of either version of TLS reach an application: an Envoy dials with 1.2 unless it is told otherwise."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
from meshtest.meshcerts import TrustDomain
from meshtest.ownsidecars import PATIENCE_S, running, serving
from meshtest.sidecars import Echo

TD = TrustDomain()


@pytest.fixture(autouse=True)
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESHAGENT_PROXY_DIR", str(tmp_path / "p"))


@pytest.mark.parametrize("protocol", ["tcp", "http"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
async def test_both_versions_are_spoken(tmp_path: Path, protocol: str, version: ssl.TLSVersion) -> None:
    app = Echo()
    async with running(TD, tmp_path, serving(TD, protocol, app.port)) as api:
        context = api.context(TD.leaf("web"))
        context.maximum_version = context.minimum_version = version
        opening = asyncio.open_connection("127.0.0.1", api.port, ssl=context, server_hostname="api")
        reader, writer = await asyncio.wait_for(opening, PATIENCE_S)
        try:
            if protocol == "tcp":
                writer.write(b"hello")
                assert await asyncio.wait_for(reader.read(5), PATIENCE_S) == b"hello"
        finally:
            writer.transport.abort()
    app.close()
