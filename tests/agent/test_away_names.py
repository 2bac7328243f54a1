"""Names of other datacenters (D11): asked once, held for a while, forgotten; what does not answer is told so."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from meshagent.agent.away_names import KEEP_S, Elsewhere
from meshagent.catalog.watch import Watches
from meshagent.clock import Tasks, VirtualClock
from meshagent.dns.view import NotYet
from meshagent.errors import Unavailable

TAGGED = {
    "lan_ipv4": {"Address": "10.0.0.9", "Port": 80},
    "wan_ipv4": {"Address": "10.0.0.9", "Port": 80},
    "wan": {"Address": "192.0.2.9", "Port": 8080},
}
ENTRY = {
    "Node": {"Node": "n", "Address": "10.0.0.1", "TaggedAddresses": {"lan_ipv4": "10.0.0.1", "wan_ipv4": "192.0.2.1"}},
    "Service": {
        "ID": "w",
        "Service": "web",
        "Address": "10.0.0.9",
        "Port": 80,
        "Tags": ["v1"],
        "TaggedAddresses": TAGGED,
    },
    "Checks": [{"CheckID": "c", "Status": "passing"}],
}


class World:
    def __init__(self, *, translate: bool = False) -> None:
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.asked: list[str] = []
        self.clock = VirtualClock()
        self.watches = Watches()
        self.tasks = Tasks()
        self.names = Elsewhere(
            self.ask, lambda: self.watches, self.clock, self.tasks, stale=lambda: True, translate=lambda: translate
        )

    async def ask(self, path: str) -> tuple[int, bytes]:
        self.asked.append(path)
        return self.answers.get(path, (404, b""))

    async def found(self, read: Any) -> Any:
        """What a read gives once it is there."""
        try:
            return read()
        except NotYet as missing:
            await missing.ready()
        return read()


WEB = "/v1/health/service/web?dc=dc2&stale"


async def test_it_is_asked_once_and_held_for_a_while() -> None:
    world = World()
    world.answers[WEB] = (200, json.dumps([ENTRY]).encode())
    read = lambda: world.names("dc2").instances("web", "", connect=False, only_passing=False)  # noqa: E731
    missing = []
    for _ in range(3):
        with pytest.raises(NotYet) as caught:
            read()
        missing.append(caught.value)
    await asyncio.gather(*(one.ready() for one in missing))
    ((pair,), topics) = read()
    assert pair[0].service.port == 80 and world.asked == [WEB] and topics == (("away", WEB),)
    woken: list[int] = []
    world.watches.subscribe(topics, lambda: woken.append(1))
    assert world.names("dc2").instances("web", "v2", connect=False, only_passing=False)[0] == []
    await world.clock.advance(KEEP_S + 0.1)
    assert woken == [1]
    with pytest.raises(NotYet):
        read()


async def test_what_is_not_there_and_who_is_not_there() -> None:
    world = World()
    world.answers["/v1/health/service/web?dc=dc9&stale"] = (500, b"No path to datacenter")
    far = world.names("dc9")
    assert (await world.found(lambda: far.instances("web", "", connect=False, only_passing=False)))[0] == []
    assert (await world.found(lambda: world.names("dc2").node("none")))[0] is None
    assert await world.found(lambda: world.names("dc2").query("none")) is None
    assert far.virtual_ip("web") == (None, ()) and far.names_at("10.0.0.1") == ("", "", ())
    world.answers[WEB] = (500, b"Remote DC has no server currently reachable")
    with pytest.raises(Unavailable):
        await world.found(lambda: world.names("dc2").instances("web", "", connect=False, only_passing=False))
    world.answers[WEB] = (200, b"[{]")
    with pytest.raises(Unavailable):
        await world.found(lambda: world.names("dc2").instances("web", "", connect=False, only_passing=False))


async def test_queries_gateways_and_nodes() -> None:
    world = World()
    executed = {"Service": "web", "Nodes": [ENTRY], "DNS": {"TTL": "7s"}}
    world.answers["/v1/query/q/execute?dc=dc2&stale"] = (200, json.dumps(executed).encode())
    world.answers["/v1/health/ingress/web?dc=dc2&stale"] = (200, json.dumps([ENTRY]).encode())
    world.answers["/v1/catalog/node/n?dc=dc2&stale"] = (200, json.dumps({"Node": ENTRY["Node"]}).encode())
    far = world.names("dc2")
    query = await world.found(lambda: far.query("q"))
    assert (query.service, query.ttl_s, len(query.usable)) == ("web", 7, 1)
    assert len((await world.found(lambda: far.ingress("web", only_passing=True)))[0]) == 1
    assert (await world.found(lambda: far.node("n")))[0].address == "10.0.0.1"


async def test_addresses_are_those_of_the_wan_where_that_is_asked_for() -> None:
    world = World(translate=True)
    # The API has translated what it shows; the addresses by family are looked at here.
    entry = json.loads(json.dumps(ENTRY))
    entry["Service"] |= {"Address": "192.0.2.9", "Port": 8080}
    world.answers[WEB] = (200, json.dumps([entry]).encode())
    ((pair,), _) = await world.found(lambda: world.names("dc2").instances("web", "", connect=False, only_passing=False))
    assert "lan_ipv4" not in pair[0].service.tagged_addresses  # a family's address that was only filled in
    assert pair[0].node.tagged_addresses["lan_ipv4"] == "192.0.2.1"
