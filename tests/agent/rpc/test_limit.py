"""Requests to servers are limited: `limits.rpc_rate`, `limits.rpc_max_burst` (surface row G20)."""

from __future__ import annotations

import pytest
from meshtest.clientworld import ClientWorld, until

from meshagent.agent.rpc import messages
from meshagent.agent.rpc.limit import RpcLimit, RpcRateExceeded
from meshagent.agent.rpc.messages import Forwarded
from meshagent.clock import VirtualClock
from meshagent.metrics import Metrics


def refused(metrics: Metrics) -> float:
    rows = metrics.display(VirtualClock().now())["Counters"]
    return sum(row["Sum"] for row in rows if row["Name"] == "consul.client.rpc.exceeded")


async def test_what_is_over_the_rate_is_refused_and_counted() -> None:
    clock = VirtualClock()
    metrics = Metrics(monotonic=clock.monotonic)
    limit = RpcLimit(clock, metrics)
    for _ in range(5000):
        limit.take()  # no limit until there is one
    limit.set(1.0, 2)
    limit.take()
    limit.take()
    with pytest.raises(RpcRateExceeded, match=r"^RPC rate limit exceeded$") as caught:
        limit.take()
    assert (caught.value.http_status, refused(metrics)) == (429, 1)
    limit.set(1.0, 2)
    with pytest.raises(RpcRateExceeded):
        limit.take()  # a reload that changes nothing gives nothing
    await clock.advance(1)
    limit.take()
    limit.set(-1.0, 2)
    for _ in range(50):
        limit.take()


async def test_a_client_answers_429_and_goes_on_with_what_it_follows(world: ClientWorld) -> None:
    client = await world.client(world.server())
    upstream = client.client.upstream
    await until(lambda: upstream.connected)
    payload = messages.encode(Forwarded("GET", "/v1/catalog/nodes", (), b"", "", b""))
    upstream.limit.set(0.0, 1)
    assert b"200 OK" in await upstream.call(messages.HTTP, payload)
    for ask in (upstream.call(messages.HTTP, payload), anext(upstream.stream(messages.HTTP_STREAM, payload))):
        with pytest.raises(RpcRateExceeded):
            await ask
    assert upstream.connected
