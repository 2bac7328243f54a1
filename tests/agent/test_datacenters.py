"""Which datacenters a server knows, in which order, and when there is no way to one."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from meshagent.agent.datacenters import Datacenters
from meshagent.agent.gossip.member import Member, Status
from meshagent.agent.http.settings import HttpSettings
from meshagent.catalog.model import Coordinate
from meshagent.catalog.rpc.hello import Identity
from meshagent.catalog.rpc.settings import RpcSettings
from meshagent.catalog.rpc.tls import Security
from meshagent.clock import SystemClock
from meshagent.errors import InternalError
from meshagent.metrics import Metrics


def at(x: float) -> Coordinate:
    return Coordinate(vec=(x, 0.0), error=0.1, adjustment=0.0, height=0.0)


def server(name: str, dc: str, number: int, status: Status = Status.ALIVE) -> Member:
    tags = {"role": "consul", "dc": dc, "port": "8300", "id": f"11111111-2222-3333-4444-55555555555{number}"}
    return Member(name=f"{name}.{dc}", addr=f"10.0.0.{number}", port=8302, tags=tags, status=status)


class Wan:
    def __init__(self, *members: Member, **places: float) -> None:
        self.known = list(members)
        self.places = {name.replace("_", "."): at(x) for name, x in places.items()}
        self.observers: list[Callable[[Any], None]] = []

    def members(self, *, wan: bool) -> list[Member]:
        assert wan
        return self.known

    def pool(self, *, wan: bool) -> object:
        return self

    def coordinate(self, *, wan: bool) -> Coordinate:
        return at(0.0)

    def coordinates(self, *, wan: bool) -> dict[str, Coordinate]:
        return self.places

    def observe(self, observer: Callable[[Any], None]) -> None:
        self.observers.append(observer)


def known(wan: Wan) -> Datacenters:
    return Datacenters(
        wan,  # type: ignore[arg-type]
        identity=lambda: Identity("id", "s1", "dc1"),
        security=Security,
        settings=RpcSettings,
        clock=SystemClock(),
        rng=random.Random(1),
        metrics=Metrics(),
    )


def test_ours_first_then_the_nearest_then_the_unknown_by_name() -> None:
    wan = Wan(
        server("s1", "dc1", 1),
        server("a", "far", 2), server("b", "far", 3), server("a", "near", 4),
        server("a", "odd", 5), server("a", "dark", 6), server("a", "gone", 7, Status.LEFT),
        Member(name="x.fake", addr="10.0.0.9", port=1, tags={"dc": "fake"}),
        a_far=0.3, b_far=0.01, a_near=0.02,
    )  # fmt: skip
    assert known(wan).names() == ["dc1", "far", "near", "dark", "odd"]
    assert known(Wan()).names() == ["dc1"]


async def test_there_is_no_way_to_one_that_nobody_knows_or_reaches() -> None:
    datacenters = known(Wan(server("a", "dark", 6, Status.FAILED)))
    with pytest.raises(InternalError, match="No path to datacenter"):
        datacenters.forwarder("dc9", HttpSettings(), b"")
    with pytest.raises(InternalError, match="Remote DC has no server currently reachable"):
        datacenters.forwarder("dark", HttpSettings(), b"")


async def test_one_connection_for_each_and_what_changes_reaches_it() -> None:
    wan = Wan(server("a", "dc2", 2))
    datacenters = known(wan)
    settings = HttpSettings()
    first = datacenters.forwarder("dc2", settings, b"")
    assert datacenters.forwarder("dc2", settings, b"") is first
    assert datacenters.forwarder("dc2", HttpSettings(), b"") is not first
    upstream = datacenters._ways["dc2"].upstream
    wan.known.append(server("b", "dc2", 3))
    for observer in wan.observers:
        observer(type("Event", (), {"wan": True})())
    assert upstream.known_servers == 2
    await datacenters.stop()
