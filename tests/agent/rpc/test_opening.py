from __future__ import annotations

import random
from collections.abc import AsyncIterator

import pytest
from meshtest.clientworld import ClientWorld, until

from meshagent.agent.rpc.opening import Opener
from meshagent.agent.servers import Server, Servers
from meshagent.catalog.rpc.hello import CLIENT, Identity
from meshagent.catalog.rpc.settings import RpcSettings
from meshagent.catalog.rpc.tls import Security
from meshagent.clock import SystemClock
from meshagent.metrics import Metrics


@pytest.fixture
async def opener() -> AsyncIterator[Opener]:
    made = Opener(
        identity=lambda: Identity("id-c", "c", "dc1", role=CLIENT),
        security=Security,
        clock=SystemClock(),
        rng=random.Random(1),
        metrics=Metrics(),
        settings=lambda: RpcSettings(handshake_timeout_s=1.0),
    )
    yield made
    await made.stop()


async def test_a_connection(world: ClientWorld, opener: Opener) -> None:
    port = world.server()
    session = await opener.open(port.server)
    assert session is not None
    assert session.link.ready
    assert len(session.name) == 8
    session.task.cancel()
    await until(lambda: not session.link.ready)
    await until(lambda: not port.rpc.links)


@pytest.mark.parametrize("wrong", [Server("127.0.0.1:1"), Server("no.such.host.invalid:8300")])
async def test_none_to_be_had(opener: Opener, wrong: Server) -> None:
    assert await opener.open(wrong) is None


async def test_another_node_under_the_address_is_refused(world: ClientWorld, opener: Opener) -> None:
    port = world.server()
    assert await opener.open(Server(port.server.address, "somebody-else")) is None


async def test_the_best_that_accepts(world: ClientWorld, opener: Opener) -> None:
    servers = Servers(random.Random(1))
    assert await opener.best(servers) is None
    good = world.server().server
    servers.set([good, Server("127.0.0.1:1"), Server("127.0.0.1:2")])
    servers.failed(good)
    session = await opener.best(servers)
    assert session is not None
    assert session.server == good == servers.first
