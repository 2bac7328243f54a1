"""X17, X18: real Envoys as terminating and mesh gateways between built-in sidecars, in two datacenters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from meshtest.envoysidecars import bootstrap, envoy_of
from meshtest.process import free_ports
from meshtest.sidecars import Echo, Sidecars, dial, exchange, free_port
from meshtest.two_datacenters import two_datacenters


class World:
    """`web` in dc1, `legacy` outside behind an Envoy there, `api` in dc2 behind an Envoy there."""

    def __init__(self, near: Sidecars, far: Sidecars) -> None:
        self.near, self.far = near, far
        self.echo = Echo()
        self.ports = free_ports(["legacy", "api"])
        service = {"ID": "legacy", "Service": "legacy", "Address": "127.0.0.1", "Port": self.echo.port}
        row = {"Node": "outside", "Address": "127.0.0.1", "SkipNodeUpdate": True, "Service": service}
        assert near.agent.put("/v1/catalog/register", row).body == b"true"
        entry = {"Kind": "terminating-gateway", "Name": "out", "Services": [{"Name": "legacy"}]}
        assert near.agent.put("/v1/config", entry).body == b"true"
        far.register("api", self.echo.port, sidecar_port=free_port())
        far.start("api")
        upstreams: list[dict[str, Any]] = [
            {"DestinationName": "legacy", "LocalBindPort": self.ports["legacy"]},
            {
                "DestinationName": "api", "Datacenter": "dc2", "LocalBindPort": self.ports["api"],
                "MeshGateway": {"Mode": "remote"},
            },
        ]  # fmt: skip
        near.register("web", free_port(), sidecar_port=free_port(), proxy={"Upstreams": upstreams})
        near.start("web")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("by-name")
    with two_datacenters(folder) as (here, there):
        made = World(here, there)
        admins = free_ports(["out", "way"])
        programs = []
        for side, gateway, name in ((here, "terminating", "out"), (there, "mesh", "way")):
            at = f"127.0.0.1:{free_port()}"
            flags = ("-gateway", gateway, "-register", "-service", name, "-address", at, "-wan-address", at)
            programs.append((bootstrap(side.agent, *flags, admin=admins[name]), folder, name, admins[name]))
        with envoy_of(*programs[0]), envoy_of(*programs[1]):
            yield made
    made.echo.close()


def test_an_envoy_leads_to_a_service_outside_and_intentions_decide(world: World) -> None:
    world.near.agent.wait("an exchange", lambda: exchange(world.ports["legacy"]) == b"hello")
    world.near.intention("web", "legacy", "deny")
    world.near.agent.wait("the denial", lambda: exchange(world.ports["legacy"]) == b"")
    world.near.intention("web", "legacy", "allow")
    world.near.agent.wait("allowed again", lambda: exchange(world.ports["legacy"]) == b"hello")


def test_an_envoy_leads_to_a_service_of_its_datacenter(world: World) -> None:
    world.near.agent.wait("an exchange", lambda: exchange(world.ports["api"]) == b"hello")
    with dial(world.ports["api"], timeout_s=60.0) as connection:
        connection.sendall(b"x" * 100_000)
        connection.shutdown(1)
        got = b""
        while data := connection.recv(65536):
            got += data
    assert got == b"x" * 100_000 + b"BYE"
