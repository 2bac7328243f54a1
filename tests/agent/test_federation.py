"""How a datacenter tells others of its mesh gateways, and what the leader there makes of it (surface rows IN6, M9)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from meshtest.gateways import mesh_gateway
from meshtest.httpapi import make_agent

from meshagent.agent.acl.access import OPEN, Refused
from meshagent.agent.federation import MESH_GATEWAYS, Asked, Federation, Told, federation_methods
from meshagent.agent.server_calls import decode, encode
from meshagent.catalog import commands as c
from meshagent.errors import Denied, MeshError, RemoteProtocolError, Unavailable


class Datacenter:
    """One agent in memory, as the other asks it."""

    def __init__(self) -> None:
        self.agent = make_agent()
        self.method: Any = federation_methods(self.agent)[MESH_GATEWAYS]
        self.lost = False

    def register(self, name: str, wan: str) -> None:
        row = mesh_gateway(name, "", wan)
        self.agent.store.execute(c.Register(row.node, row.service, row.checks))
        self.agent.store.flush()

    def upstream(self, name: str) -> Datacenter:
        if self.lost:
            raise Unavailable("no path to the datacenter")
        return self

    async def call(self, method: str, payload: bytes, timeout_s: float) -> bytes:
        assert method == MESH_GATEWAYS
        found: bytes = await self.method(None, payload)
        return found


async def asked(there: Datacenter, *fields: Any) -> Told:
    return decode(await there.method(None, encode(Asked(*fields))), Told)


async def test_it_answers_when_something_has_changed() -> None:
    there = Datacenter()
    there.register("a", "1.1.1.1")
    first = await asked(there, "")
    assert [row.node.name for row in first.rows] == ["a"]
    waiting = asyncio.ensure_future(asked(there, "", first.digest, 60.0))
    await asyncio.sleep(0)
    assert not waiting.done()
    there.register("b", "2.2.2.2")
    assert [row.node.name for row in (await waiting).rows] == ["a", "b"]


async def test_what_a_token_may_not_see_is_not_told() -> None:
    there = Datacenter()
    there.register("a", "1.1.1.1")

    class Guardian:
        async def identify(self, secret: str) -> Any:
            access = OPEN if secret == "good" else Refused(Denied("Permission denied"))
            return type("Identity", (), {"access": access})()

    there.agent.extras["acl"] = Guardian()
    assert len((await asked(there, "good")).rows) == 1
    with pytest.raises(MeshError):
        assert (await asked(there, "bad")).rows == ()
        raise Denied("nothing was told")


async def test_a_payload_that_does_not_decode_is_refused() -> None:
    with pytest.raises(RemoteProtocolError):
        await Datacenter().method(None, b"\xc1")


async def test_the_leader_writes_down_what_it_hears_once() -> None:
    here, there = make_agent(), Datacenter()
    there.register("a", "1.1.1.1")
    datacenters: Any = there
    follower = Federation(here, datacenters)
    digest = await follower.round("dc2", "")
    row = here.store.federation.rows["dc2"]
    assert [(one.node.name, one.node.datacenter) for one in row.mesh_gateways] == [("a", "dc2")]
    index = here.store.index
    assert await follower.round("dc2", "") == digest
    assert here.store.index == index
    there.lost = True
    with pytest.raises(Unavailable):
        await follower.round("dc2", digest)
    assert here.store.federation.rows["dc2"] == row
