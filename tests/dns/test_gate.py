"""Names are answered when the catalog here may speak for the cluster (D21, D32)."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from meshtest.dnstext import question_bytes

from meshagent.catalog.log import MemoryLog
from meshagent.catalog.store import Store
from meshagent.clock import VirtualClock
from meshagent.dns.server import DnsServer
from meshagent.dns.settings import DnsSettings
from meshagent.errors import NoLeader

WEB = question_bytes({"name": "web.service.consul", "type": "A"})
ABROAD = question_bytes({"name": "example.com", "type": "A"})


class Log(MemoryLog):
    leading = False
    heard = True
    contact_ms = 0
    asked = 0
    known = True

    @property
    def is_leader(self) -> bool:
        return self.leading

    @property
    def has_heard(self) -> bool:
        return self.heard

    @property
    def last_contact_ms(self) -> int:
        return self.contact_ms

    async def read_barrier(self, *, consistent: bool = False) -> None:
        self.asked += 1
        await asyncio.sleep(0)
        if not self.known:
            raise NoLeader


class World:
    def __init__(self, shop: Any, **settings: Any) -> None:
        self.log = Log(Store())
        self.clock = VirtualClock()
        self.dns = DnsServer(
            shop.store, DnsSettings(**settings), self.clock, random.Random(1), None, "dc1", "n1", serving=self.log
        )

    async def ask(self, packet: bytes = WEB) -> str:
        found = await self.dns.query(packet, tcp=False)
        assert found is not None
        return {0: "NOERROR", 2: "SERVFAIL", 5: "REFUSED"}[found[3] & 15]


async def test_d32_by_default_any_server_that_has_heard_a_leader_answers(shop: Any) -> None:
    world = World(shop)
    assert await world.ask() == "NOERROR"
    world.log.known = False
    assert await world.ask() == "NOERROR"
    assert world.log.asked == 0


async def test_d21_no_leader_and_nothing_stale_to_tell(shop: Any) -> None:
    world = World(shop)
    world.log.heard = world.log.known = False
    assert await world.ask() == "SERVFAIL"
    world.log.known = True
    assert await world.ask() == "NOERROR"
    assert world.log.asked == 2


async def test_d32_what_is_older_than_max_stale_is_asked_of_the_leader(shop: Any) -> None:
    world = World(shop, max_stale_s=5.0)
    world.log.contact_ms = 4000
    assert await world.ask() == "NOERROR"
    world.log.contact_ms = 6000
    await world.clock.advance(1.1)  # kept bytes are given up with the next second
    assert await world.ask() == "NOERROR"
    assert world.log.asked == 1
    world.log.known = False
    assert await world.ask() == "SERVFAIL"


async def test_d32_without_allow_stale_each_answer_is_the_leaders(shop: Any) -> None:
    world = World(shop, allow_stale=False)
    for _ in range(3):
        assert await world.ask() == "NOERROR"
    assert world.log.asked == 3
    world.log.leading = True
    assert await world.ask() == "NOERROR"
    assert world.log.asked == 3
    world.log.leading = world.log.known = False
    assert await world.ask() == "SERVFAIL"


async def test_a_reload_reaches_the_gate(shop: Any) -> None:
    world = World(shop)
    await world.ask()
    world.dns.reconfigure(DnsSettings(allow_stale=False))
    await world.ask()
    assert world.log.asked == 1


@pytest.mark.parametrize("heard", [True, False])
async def test_other_names_do_not_wait_for_a_leader(shop: Any, heard: bool) -> None:
    world = World(shop)
    world.log.heard = heard
    world.log.known = False
    assert await world.ask(ABROAD) == "REFUSED"
