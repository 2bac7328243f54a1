"""Tokens of callers, and streams that look at theirs again when it changes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from meshtest.inprocess import InProcess

from meshagent.agent.dataplane.callers import follow, identify, require_some_service
from meshagent.errors import Denied


async def test_without_acls_everybody_may(live: InProcess) -> None:
    assert await identify(live.agent, "anything", require_some_service) is None


async def test_a_token_that_changes_is_looked_at_again(guarded: InProcess) -> None:
    _, token = await guarded.token('service "web" { policy = "write" }')
    policy = next(row for row in (await guarded.ask("GET", "/v1/acl/policies")).json if row["Name"].startswith("p"))
    made: list[bytes] = [b"one"]
    stream: Any = follow(guarded.agent, token, require_some_service, ("nodes",), lambda: made[-1])
    assert await anext(stream) == b"one"
    waiting = asyncio.ensure_future(anext(stream))
    rules = 'service "web" { policy = "write" } key "x" { policy = "read" }'
    await guarded.put(f"/v1/acl/policy/{policy['ID']}", {"Name": policy["Name"], "Rules": rules})
    await guarded.settle()
    assert not waiting.done(), "it still may"
    await guarded.put(
        f"/v1/acl/policy/{policy['ID']}", {"Name": policy["Name"], "Rules": 'key "x" { policy = "read" }'}
    )
    with pytest.raises(Denied):
        await waiting


async def test_who_goes_leaves_nothing_behind(guarded: InProcess) -> None:
    _, token = await guarded.token('service "web" { policy = "write" }')
    identity = await identify(guarded.agent, token, require_some_service)
    assert identity is not None
    before = len(identity.listeners)
    stream: Any = follow(guarded.agent, token, require_some_service, ("nodes",), lambda: b"")
    await anext(stream)
    assert len(identity.listeners) == before + 1
    await stream.aclose()
    assert len(identity.listeners) == before
