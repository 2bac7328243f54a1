"""429 as Envoy says it, through the engine's own chain."""

from __future__ import annotations

from meshtest.http7 import World, request

from meshagent.catalog.entries.rate_limits import Rate, RateLimits
from meshagent.connect.proxy.http.streams import Peer
from meshagent.connect.proxy.limits.filter import rate_filter
from meshagent.connect.proxy.limits.limiter import RateLimiter


def test_the_third_request_is_too_many() -> None:
    world = World()
    limiter = RateLimiter(RateLimits(Rate(1, 2)), world.now())
    world.manager.filters = (rate_filter(limiter, world.now),)
    clients = [world.ask(request(b"/x?y=1")) for _ in range(3)]
    head = clients[2].head
    assert head is not None
    assert head.status == 429
    assert (b"x-envoy-ratelimited", b"true") in head.headers
    assert (b"x-ratelimit-limit", b"2") in head.headers
    assert clients[2].body == b"local_rate_limited"
    assert [one.head for one in clients[:2]] == [None, None], "they are on their way"
    assert world.finished == [(429, "RL")]


def test_callers_are_told_apart_by_their_certificate() -> None:
    world = World()
    limiter = RateLimiter(RateLimits(identity=Rate(1, 1)), world.now())
    world.manager.filters = (rate_filter(limiter, world.now),)
    for identity in ("spiffe://a", "spiffe://b", "spiffe://a"):
        world.ask(peer=Peer(identity=identity))
    assert world.finished == [(429, "RL")]
