"""Leafs of an agent: one request however many ask, renewal, rotation, failures (surface rows A28, M63)."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from typing import Any

import pytest

from meshagent.clock import Tasks, VirtualClock
from meshagent.connect import certs
from meshagent.connect.ca import SignedLeaf
from meshagent.connect.leafs import MAX_LEAFS, LeafStore
from meshagent.connect.signing_limit import TooManyRequests
from meshagent.errors import MeshError, Unavailable

H = 3600.0


class Signer:
    """Answers requests without an authority."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.tasks = Tasks()
        self.root = "r1"
        self.asked: list[str] = []
        self.refuse: MeshError | None = None
        self.store = LeafStore(
            sign=self.sign,
            authority=lambda: ("td.consul", self.root),
            datacenter="dc1",
            clock=self.clock,
            rng=random.Random(3),
            tasks=self.tasks,
        )

    async def sign(self, request: bytes) -> SignedLeaf:
        uri = certs.requested_uri(request)
        self.asked.append(uri)
        await self.clock.sleep(0.0)
        if self.refuse is not None:
            raise self.refuse
        now = self.clock.now()
        begin, end = now - timedelta(minutes=1), now + timedelta(hours=72)
        texts = (moment.strftime("%Y-%m-%dT%H:%M:%SZ") for moment in (begin, end))
        return SignedLeaf("08", "pem", uri.rsplit("/", 1)[1], uri, *texts, 10 + len(self.asked), self.root)


@pytest.fixture
async def signer() -> Any:
    one = Signer()
    one.tasks.start(one.store.run(), name="leafs")
    yield one
    await one.tasks.cancel()


async def during(signer: Signer, awaitable: Any, seconds: float = 1.0) -> Any:
    task = asyncio.ensure_future(awaitable)
    await signer.clock.advance(seconds)
    assert task.done()
    return task.result()


async def test_all_who_ask_at_once_share_one_request(signer: Signer) -> None:
    leafs = await during(signer, asyncio.gather(*(signer.store.get("web") for _ in range(20))))
    assert len({leaf.signed.index for leaf in leafs}) == 1
    assert signer.asked == ["spiffe://td.consul/ns/default/dc/dc1/svc/web"]
    assert leafs[0].key.startswith("-----BEGIN EC PRIVATE KEY-----")
    again = await during(signer, signer.store.get("web"))
    assert again is leafs[0]
    assert "PRIVATE" not in repr(again)


async def test_it_is_renewed_long_before_it_ends(signer: Signer) -> None:
    first = await during(signer, signer.store.get("web"))
    await signer.clock.advance(35 * H)
    assert len(signer.asked) == 1
    waiting = asyncio.ensure_future(signer.store.changed_from("web", first.signed.index, 100 * H))
    await signer.clock.advance(13 * H)
    assert waiting.done()
    assert waiting.result().signed.index > first.signed.index
    assert len(signer.asked) == 2


async def test_a_wait_ends_with_the_same_leaf_when_nothing_happens(signer: Signer) -> None:
    first = await during(signer, signer.store.get("web"))
    assert await during(signer, signer.store.changed_from("web", first.signed.index, 5.0), 6.0) is first
    assert await during(signer, signer.store.changed_from("web", 1, 5.0)) is first


async def test_a_new_root_renews_what_is_watched_within_half_a_minute_and_the_rest_when_asked_for(
    signer: Signer,
) -> None:
    first = await during(signer, signer.store.get("web"))
    signer.root = "r2"
    signer.store.root_changed()
    waiting = asyncio.ensure_future(signer.store.changed_from("web", first.signed.index, 100.0))
    await signer.clock.advance(30.5)
    assert waiting.done()
    assert waiting.result().signed.root_id == "r2"
    signer.root = "r3"
    assert (await during(signer, signer.store.get("web"))).signed.root_id == "r3"


async def test_a_failed_renewal_keeps_the_old_leaf_and_tries_again(signer: Signer) -> None:
    first = await during(signer, signer.store.get("web"))
    signer.refuse = Unavailable("no servers")
    await signer.clock.advance(47 * H)
    assert len(signer.asked) > 5
    assert await during(signer, signer.store.get("web")) is first
    assert signer.store.worst() == ("passing", None)
    await signer.clock.advance(10 * H)
    assert signer.store.worst() == ("warning", first)
    await signer.clock.advance(9 * H)
    assert signer.store.worst() == ("critical", first)
    signer.refuse = None
    await signer.clock.advance(301.0)
    assert signer.store.worst() == ("passing", None)


async def test_a_day_without_servers_is_outlived(signer: Signer) -> None:
    await during(signer, signer.store.get("web"))
    await signer.clock.advance(46 * H)
    before = len(signer.asked)
    signer.refuse = Unavailable("no servers")
    await signer.clock.advance(24 * H)
    assert await during(signer, signer.store.get("web"))
    assert len(signer.asked) - before < 400


async def test_the_signing_limit_is_tried_again_within_half_a_minute(signer: Signer) -> None:
    await during(signer, signer.store.get("web"))
    signer.root = "r2"
    signer.refuse = TooManyRequests()
    signer.store.root_changed()
    await signer.clock.advance(300.0)
    assert 8 <= len(signer.asked) <= 60


async def test_without_a_leaf_the_failure_is_told_to_all_who_wait(signer: Signer) -> None:
    signer.refuse = Unavailable("no root yet")
    asked = asyncio.gather(*(signer.store.get("web") for _ in range(3)), return_exceptions=True)
    assert [str(result) for result in await during(signer, asked)] == ["no root yet"] * 3
    assert len(signer.store) == 0
    assert signer.store.index_of("web") == 0


async def test_what_nobody_asks_for_is_forgotten_after_three_days(signer: Signer) -> None:
    await during(signer, signer.store.get("web"))
    assert len(signer.store) == 1
    await signer.clock.advance(74 * H)
    assert len(signer.store) == 0


async def test_there_is_a_bound(signer: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshagent.connect.leafs.MAX_LEAFS", 3)
    assert MAX_LEAFS > 3
    for name in ("a", "b", "c", "d"):
        await during(signer, signer.store.get(name))
    assert [leaf.signed.service for leaf in signer.store.leafs()] == ["b", "c", "d"]
