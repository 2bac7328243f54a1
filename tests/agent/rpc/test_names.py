"""DNS on a client agent gives what DNS on a server gives."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import dns.message
import dns.rdatatype
import pytest
from meshtest.clientworld import ClientAgent, ClientWorld, until
from meshtest.httpapi import instance

from meshagent.catalog import commands
from meshagent.catalog.entries.ingress_gateway import IngressGateway  # noqa: F401  kinds are registered
from meshagent.catalog.model import Connect, Node, PreparedQuery, QueryService, Service
from meshagent.clock import SystemClock
from meshagent.dns.server import DnsServer
from meshagent.dns.settings import DnsSettings

NAMES = [
    ("web.service.consul", "A"),
    ("web.service.consul", "SRV"),
    ("v1.web.service.consul", "A"),
    ("none.service.consul", "A"),
    ("native.connect.consul", "A"),
    ("native.virtual.consul", "A"),
    ("none.virtual.consul", "A"),
    ("none.ingress.consul", "A"),
    ("q.query.consul", "A"),
    ("none.query.consul", "A"),
    ("n1.node.consul", "A"),
    ("n1.node.consul", "TXT"),
    ("none.node.consul", "A"),
    ("1.0.0.10.in-addr.arpa", "PTR"),
    ("9.9.0.10.in-addr.arpa", "PTR"),
    ("consul", "SOA"),
    ("consul", "NS"),
]


async def ask(server: DnsServer, name: str, kind: str = "A") -> dns.message.Message:
    reply = await server.query(dns.message.make_query(name, kind).to_wire(), tcp=True)
    assert reply is not None
    return dns.message.from_wire(reply)


async def addresses(client: ClientAgent, name: str) -> list[str]:
    answer = (await ask(client.dns, name)).answer
    return sorted(str(row) for rrset in answer for row in rrset)


@pytest.fixture
async def filled(world: ClientWorld) -> ClientWorld:
    await world.write(instance("n1", "web", tags=("v1",), meta={"a": "b"}))
    await world.write(instance("n2", "web", number=1, status="critical"))
    await world.write(instance("n3", "consul", number=2))
    native = Service(id="native", name="native", port=1, connect=Connect(native=True))
    await world.write(commands.Register(Node(name="n1", address="10.0.0.1"), native))
    query = PreparedQuery(id="11111111-2222-3333-4444-555555555555", name="q", service=QueryService(service="web"))
    await world.write(commands.PreparedQuerySet(query))
    return world


@pytest.mark.parametrize(("name", "kind"), NAMES)
async def test_as_on_a_server(filled: ClientWorld, name: str, kind: str) -> None:
    client = await filled.client(filled.server())
    own = DnsServer(filled.agent.store, DnsSettings(), SystemClock(), random.Random(1), None, "dc1", "c1")
    for _ in range(3):
        theirs, ours = await ask(own, name, kind), await ask(client.dns, name, kind)
        assert ours.rcode() == theirs.rcode()
        for section in ("answer", "additional"):
            assert _rows(ours, section) == _rows(theirs, section)


def _rows(message: Any, section: str) -> list[str]:
    return sorted(
        line for rrset in getattr(message, section) for line in rrset.to_text().splitlines() if "SOA" not in line
    )


async def test_answers_follow_the_catalog(filled: ClientWorld) -> None:
    client = await filled.client(filled.server())
    for _ in range(3):
        assert await addresses(client, "web.service.consul") == ["10.0.0.1"]
        assert await addresses(client, "new.service.consul") == []
    await filled.write(instance("n2", "web", number=1, status="passing"))
    await filled.write(instance("n4", "new", number=3))
    await client.client.upstream.barrier()
    assert await addresses(client, "web.service.consul") == ["10.0.0.1", "10.0.0.2"]
    assert await addresses(client, "new.service.consul") == ["10.0.0.4"]


async def test_answers_are_given_without_a_server(filled: ClientWorld) -> None:
    server = filled.server()
    client = await filled.client(server)
    assert await addresses(client, "web.service.consul") == ["10.0.0.1"]
    await server.stop()
    await until(lambda: not client.client.upstream.connected)
    assert await addresses(client, "web.service.consul") == ["10.0.0.1"]
    client.client.rows.max_age_s = 0.0
    client.client.rows.sweep()
    assert (await ask(client.dns, "web.service.consul")).rcode() == 2


async def test_questions_at_once_share_their_wait(filled: ClientWorld) -> None:
    server = filled.server()
    client = await filled.client(server)
    found = await asyncio.gather(*(addresses(client, "web.service.consul") for _ in range(50)))
    assert found == [["10.0.0.1"]] * 50
    assert server.serving.watched == 1
