"""Servers that come and go are told; the stream ends with its token."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from meshtest.inprocess import NODE_ID, InProcess

from meshagent import CONSUL_VERSION
from meshagent.agent.grpc.methods import Refused

OTHER = "22222222-2222-3333-4444-555555555555"


def another(status: str) -> dict[str, Any]:
    return {
        "Node": "n2", "ID": OTHER, "Address": "10.0.0.2", "TaggedAddresses": {"wan": "198.51.100.2"},
        "Service": {"Service": "consul", "Port": 8300, "Meta": {"version": "1.19.0"}},
        "Check": {"CheckID": "serfHealth", "Name": "Serf Health Status", "Status": status},
    }  # fmt: skip


def shown(told: Any) -> list[tuple[str, str, str]]:
    return [(one.id, one.address, one.version) for one in told.servers]


async def test_x31_servers_come_and_go(calls: Any, live: InProcess) -> None:
    stream = calls.stream("WatchServers")
    first = (NODE_ID, "127.0.0.1", CONSUL_VERSION)
    assert shown(await anext(stream)) == [first]
    await live.put("/v1/catalog/register", another("passing"))
    assert shown(await anext(stream)) == [first, (OTHER, "10.0.0.2", "1.19.0")]
    wan = calls.stream("WatchServers", wan=True)
    assert shown(await anext(wan))[1] == (OTHER, "198.51.100.2", "1.19.0")
    await live.put("/v1/catalog/register", another("critical"))
    assert shown(await anext(stream)) == [first]
    await stream.aclose()
    await wan.aclose()


async def test_what_changes_nothing_is_not_told(calls: Any, live: InProcess) -> None:
    stream = calls.stream("WatchServers")
    await anext(stream)
    waiting = asyncio.ensure_future(anext(stream))
    await live.put("/v1/catalog/register", another("critical"))
    await live.settle()
    assert not waiting.done()
    await live.put("/v1/catalog/register", another("passing"))
    assert len(shown(await waiting)) == 2


async def test_it_ends_with_its_token(asks: Any, guarded: InProcess) -> None:
    accessor, token = await guarded.token('key "x" { policy = "read" }')
    stream = asks.stream("WatchServers", token)
    await anext(stream)
    waiting = asyncio.ensure_future(anext(stream))
    await guarded.settle()
    assert (await guarded.ask("DELETE", f"/v1/acl/token/{accessor}")).status == 200
    with pytest.raises(Refused, match="ACL not found"):
        await waiting
    with pytest.raises(Refused, match="x-consul-token"):
        await anext(asks.stream("WatchServers"))
