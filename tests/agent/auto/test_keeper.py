"""When the agent's own certificate is asked for, renewed, and asked for anew."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from meshagent.agent.auto import kept as disk
from meshagent.agent.auto.keeper import CertificateKeeper
from meshagent.agent.auto.kept import Kept, kept_of
from meshagent.agent.auto.messages import SIGN, Issued, SignRequest, decode, encode
from meshagent.catalog.rpc.settings import TlsSettings
from meshagent.clock import Tasks, VirtualClock
from meshagent.connect import certs
from meshagent.connect.ca import SignedLeaf
from meshagent.errors import MeshError, Unavailable
from meshagent.metrics import Metrics

LIFE = timedelta(hours=72)


class World:
    """A keeper, and servers that answer or do not."""

    def __init__(self, directory: Path, kept: Kept | None = None) -> None:
        self.clock = VirtualClock()
        self.tasks = Tasks()
        self.firsts = 0
        self.renewals = 0
        self.changes = 0
        self.problem: MeshError | None = None
        self.root = "root-1"
        self.keeper = CertificateKeeper(
            kept,
            first=self.first,
            call=self.call,
            node="c1",
            datacenter="dc1",
            names=("agent.example",),
            data_dir=directory,
            clock=self.clock,
            rng=random.Random(1),
            tasks=self.tasks,
        )
        self.keeper.on_change.append(self.changed)

    def changed(self) -> None:
        self.changes += 1

    def issued(self) -> Issued:
        begin, end = self.clock.now(), self.clock.now() + LIFE
        leaf = SignedLeaf("01", "chain", "c1", "spiffe://x", begin.isoformat(), end.isoformat(), 7, self.root)
        return Issued(leaf, ("authority",), True)

    async def first(self, key: str, request: bytes) -> Kept:
        self.firsts += 1
        if self.problem is not None:
            raise self.problem
        uri, names = certs.requested(request)
        assert uri == "spiffe://unknown.consul/agent/client/dc/dc1/id/c1"
        assert names == ["localhost", "agent.example", "127.0.0.1", "::1"]
        return kept_of("c1", "dc1", key, self.issued(), {"encrypt": "x"})

    async def call(self, method: str, payload: bytes) -> bytes:
        self.renewals += 1
        assert method == SIGN
        assert decode(payload, SignRequest).node == "c1"
        if self.problem is not None:
            raise self.problem
        return encode(self.issued())

    def start(self) -> None:
        self.tasks.start(self.keeper.run(), name="keeper")


@pytest.fixture
async def world(tmp_path: Path) -> Iterator[World]:  # type: ignore[misc]
    made = World(tmp_path)
    yield made  # type: ignore[misc]
    await made.tasks.cancel()


async def test_the_first_certificate_is_asked_for_and_kept(world: World, tmp_path: Path) -> None:
    assert not world.keeper.usable
    world.start()
    await world.clock.advance(0.1)
    assert (world.firsts, world.changes, world.keeper.usable) == (1, 1, True)
    assert disk.load(tmp_path, "c1") == world.keeper.kept


async def test_while_no_server_answers_it_asks_again_later_and_later(world: World) -> None:
    world.problem = Unavailable("no server")
    world.start()
    await world.clock.advance(300)
    assert 8 <= world.firsts <= 24
    world.problem = None
    before = world.firsts
    world.keeper.news()  # a server was found: it need not wait
    await world.clock.advance(0.1)
    assert (world.firsts, world.keeper.usable) == (before + 1, True)


async def test_it_is_renewed_over_the_connection_with_at_least_a_day_left(world: World) -> None:
    world.start()
    await world.clock.advance(1)
    await _days(world, 1.4)
    assert (world.firsts, world.renewals) == (1, 0)
    await _days(world, 0.6)
    assert (world.firsts, world.renewals) == (1, 1)
    assert world.keeper.kept is not None
    assert world.keeper.kept.options == {"encrypt": "x"}


async def test_one_that_could_not_be_renewed_is_used_to_its_end_then_asked_for_anew(world: World) -> None:
    world.start()
    await world.clock.advance(1)
    world.problem = Unavailable("no server")
    await _days(world, 2.9)
    assert world.keeper.usable
    assert world.renewals > 100  # at least every five minutes
    assert world.firsts == 1
    assert world.keeper.problem().startswith("The certificate of this agent could not be renewed: it is valid until 20")
    await _days(world, 0.2)
    assert not world.keeper.usable
    assert world.keeper.problem().startswith("The certificate of this agent has ended")
    assert world.firsts > 1
    world.problem = None
    await world.clock.advance(60)
    assert world.keeper.usable
    assert world.keeper.problem() == ""


async def test_another_root_brings_the_renewal_forward(world: World) -> None:
    world.start()
    await world.clock.advance(1)
    world.keeper.root_is("root-1")
    world.keeper.root_is("")
    await world.clock.advance(60)
    assert world.renewals == 0
    world.root = "root-2"
    world.keeper.root_is("root-2")
    await world.clock.advance(31)
    assert (world.renewals, world.keeper.kept and world.keeper.kept.root_id) == (1, "root-2")


async def test_what_is_on_disk_is_used_and_not_asked_for(tmp_path: Path) -> None:
    former = World(tmp_path)
    kept = await former.first(*_request())
    world = World(tmp_path, kept)
    world.start()
    await world.clock.advance(10)
    assert (world.firsts, world.keeper.usable) == (0, True)
    await world.tasks.cancel()


async def test_how_long_it_is_good_is_measured(world: World) -> None:
    metrics = Metrics()
    world.keeper.gauges(metrics)  # nothing to tell yet
    world.start()
    await world.clock.advance(1)
    world.keeper.gauges(metrics)
    shown = str(metrics.snapshot()) if hasattr(metrics, "snapshot") else ""
    assert not shown or "agent.tls.cert.expiry" in shown


async def test_without_a_certificate_servers_are_still_verified(world: World, tmp_path: Path) -> None:
    from meshtest import certificates

    (tmp_path / "ca.pem").write_bytes(certificates.make_ca().pem)
    security = world.keeper.security(TlsSettings(ca_file=str(tmp_path / "ca.pem")), "consul")
    assert security.dialler is not None
    assert security.dialler.verify_mode.name == "CERT_REQUIRED"


def _request() -> tuple[str, bytes]:
    from meshagent.agent.auto.asking import new_request

    return new_request("c1", "dc1", ("agent.example",))


async def _days(world: World, days: float) -> None:
    end: datetime = world.clock.now() + timedelta(days=days)
    while world.clock.now() < end:
        await world.clock.advance(600)
        await asyncio.sleep(0)
