"""Who has a virtual address, as transparent proxies are told, and when they are told anew (surface rows M5, M10)."""

from __future__ import annotations

from typing import Any

import pytest

from meshagent.catalog import commands as c
from meshagent.catalog.entries.table import parse
from meshagent.catalog.mesh_services import TOPIC, MeshService, mesh_services
from meshagent.catalog.model import Connect, Node, Proxy, Service
from meshagent.catalog.store import Store

AT = "2024-01-01T00:00:00Z"


class World:
    def __init__(self) -> None:
        self.store = Store()
        self.told = 0
        self._watch()

    def _watch(self) -> None:
        self.store.watches.subscribe([TOPIC], self._tell)

    def _tell(self) -> None:
        self.told += 1
        self._watch()

    def run(self, command: c.Command) -> None:
        self.store.apply(c.encode(command))
        self.store.flush()

    def service(self, service: Service) -> None:
        self.run(c.Register(Node(name="n", address="10.0.0.1"), service, ()))

    def sidecar(self, name: str, number: int = 1, port: int = 20000) -> None:
        proxy = Proxy(destination_service_name=name)
        self.service(Service(kind="connect-proxy", id=f"{name}-{number}", name=f"{name}-proxy", port=port, proxy=proxy))

    def entry(self, **raw: Any) -> None:
        self.run(c.ConfigEntrySet(parse(raw), None, AT))  # type: ignore[arg-type]

    def found(self) -> tuple[MeshService, ...]:
        return mesh_services(self.store)


@pytest.fixture
def world() -> World:
    return World()


def test_mesh_services_and_those_that_entries_name(world: World) -> None:
    world.service(Service(id="plain", name="plain", port=80))
    world.sidecar("Web")
    world.service(Service(id="native", name="native", port=80, connect=Connect(native=True)))
    world.entry(Kind="service-resolver", Name="alias", Redirect={"Service": "Web"})
    world.entry(Kind="service-intentions", Name="*", Sources=[{"Name": "*", "Action": "deny"}])
    assert [(one.name, one.addresses) for one in world.found()] == [
        ("alias", ("240.0.0.3",)),
        ("native", ("240.0.0.2",)),
        ("Web", ("240.0.0.1",)),
    ]


def test_manual_addresses_come_along(world: World) -> None:
    world.sidecar("web")
    told = world.told
    world.run(c.ManualIPsSet("web", ("10.96.0.7", "fd00::7")))
    assert world.found() == (MeshService("web", ("240.0.0.1", "10.96.0.7", "fd00::7")),)
    assert world.told == told + 1


def test_it_is_told_when_one_comes_or_goes_and_not_when_an_instance_changes(world: World) -> None:
    world.service(Service(id="plain", name="plain", port=80))
    assert world.told == 0
    world.sidecar("web")
    assert world.told == 1
    world.sidecar("web", port=20001)
    world.sidecar("web", 2)
    assert world.told == 1
    world.run(c.Deregister("n", "web-2"))
    assert world.told == 1
    world.run(c.Deregister("n", "web-1"))
    assert world.told == 2
    world.entry(Kind="service-resolver", Name="alias", Redirect={"Service": "web"})
    assert world.told == 3
    world.run(c.ConfigEntryDelete("service-resolver", "alias"))
    assert world.told == 4
