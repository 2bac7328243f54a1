"""Built-in sidecars and real Envoys in one mesh: each calls each, from the same snapshots, and is served alike.

Surface rows X5, X7, X8, M30. TLS is as an Envoy has it when nobody says a version: it dials with 1.2.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from meshtest.envoystatic import static
from meshtest.httpapp import ask, http_app
from meshtest.meshcerts import TrustDomain
from meshtest.meshpeers import envoy
from meshtest.ownsidecars import calling, running, serving
from meshtest.process import free_ports

from meshagent.catalog.entries.service_intentions import ServiceIntentions
from meshagent.catalog.entries.table import parse
from meshagent.connect.envoy.render import render
from meshagent.connect.intentions import matching
from meshagent.connect.snapshot import ProxySnapshot

OURS = TrustDomain()
#: web may do everything but what is under /admin.
ENTRY = {
    "Kind": "service-intentions",
    "Name": "api",
    "Sources": [
        {
            "Name": "web",
            "Permissions": [
                {"Action": "deny", "HTTP": {"PathPrefix": "/admin"}},
                {"Action": "allow", "HTTP": {"PathPrefix": "/"}},
            ],
        }
    ],
}


def intentions() -> tuple[Any, ...]:
    entry = parse(ENTRY).normalised()
    assert isinstance(entry, ServiceIntentions)
    return tuple(matching(lambda name: entry if name == "api" else None, "api"))


@pytest.fixture(autouse=True)
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESHAGENT_PROXY_DIR", str(tmp_path / "p"))


@contextlib.asynccontextmanager
async def sidecar(kind: str, folder: Path, snapshot: ProxySnapshot, port: int) -> AsyncIterator[None]:
    """A sidecar of that kind, ready at a port."""
    if kind == "own":
        async with running(OURS, folder, snapshot):
            yield
        return
    made = static(render(snapshot))["static_resources"]
    with envoy(folder, snapshot.service, *((made["listeners"][0], one) for one in made["clusters"]), port=port):
        yield


@pytest.mark.parametrize("protocol", ["http", "tcp"])
@pytest.mark.parametrize(("caller", "callee"), [("envoy", "own"), ("own", "envoy"), ("envoy", "envoy")])
async def test_each_calls_each(tmp_path: Path, caller: str, callee: str, protocol: str) -> None:
    with http_app("api") as app:
        api = serving(OURS, protocol, app.port)
        if protocol == "http":
            api = msgspec.structs.replace(api, intentions=intentions(), default_allow=False)
        inbound = api.inbound
        assert inbound is not None
        listener = free_ports(["web"])["web"]
        web = calling(OURS, protocol, listener, inbound.port)
        async with sidecar(callee, tmp_path, api, inbound.port), sidecar(caller, tmp_path, web, listener):
            answer = await asyncio.to_thread(ask, listener, "/x")
            assert answer.status == 200
            headers = json.loads(answer.body)["headers"]
            assert (f"URI={OURS.identity('web')}" in headers.get("x-forwarded-client-cert", "")) is (protocol == "http")
            denied = await asyncio.to_thread(ask, listener, "/admin/x")
            assert denied.status == (403 if protocol == "http" else 200)
