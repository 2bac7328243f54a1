"""Surface row K21: checks of a service whose sidecar exposes them go through the sidecar."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from meshagent.agent.definitions import CheckDefinition, ServiceDefinition
from meshagent.agent.exposed_checks import ExposedChecks, exposed_paths
from meshagent.agent.local import LocalState
from meshagent.clock import VirtualClock


class Runs:
    """What a runner was told last of each check."""

    def __init__(self) -> None:
        self.targets: dict[str, str] = {}
        self.told = 0

    def add(self, check_id: str, definition: CheckDefinition, *, status: str, output: str) -> None:
        self.told += 1
        self.targets[check_id] = definition.http or definition.grpc

    def remove(self, check_id: str) -> None: ...
    def aliased_changed(self, node: str = "", service_id: str = "") -> None: ...


class World:
    def __init__(self) -> None:
        self.local = LocalState(node_name="n1", datacenter="dc1", clock=VirtualClock())
        self.runs = Runs()
        ExposedChecks(self.local, self.runs)

    def register(self, *, expose: bool = True, address: str = "", http: str = "http://127.0.0.1:8080/health?x") -> None:
        raw = {
            "Name": "web", "Port": 8080, "Address": address,
            "Checks": [
                {"CheckID": "h", "HTTP": http, "Interval": 10.0, "Status": "passing"},
                {"CheckID": "g", "GRPC": "127.0.0.1:9090/pkg.Svc", "Interval": 10.0},
                {"CheckID": "t", "TCP": "127.0.0.1:8080", "Interval": 10.0},
                {"CheckID": "s", "HTTP": "https://127.0.0.1:8443/", "Interval": 10.0},
            ],
            "Connect": {"SidecarService": {"Proxy": {"Expose": {"Checks": expose}}}},
        }  # fmt: skip
        self.local.add_service(msgspec.convert(raw, ServiceDefinition))

    def ports(self) -> dict[str, int]:
        checks = self.local.checks
        return {name: checks[name].check.exposed_port for name in ("h", "g", "t", "s")}


@pytest.fixture
def world() -> World:
    return World()


def test_http_and_grpc_go_through_the_sidecar(world: World) -> None:
    world.register(address="10.0.0.5")
    assert world.ports() == {"h": 21500, "g": 21501, "s": 0, "t": 0}
    assert world.runs.targets == {"g": "10.0.0.5:21501/pkg.Svc", "h": "http://10.0.0.5:21500/health?x"}
    paths = {one.path: one for one in exposed_paths(world.local, "web")}
    assert set(paths) == {"/health", "/grpc.health.v1.Health/Check"}
    health, grpc = paths["/health"], paths["/grpc.health.v1.Health/Check"]
    assert (health.listener_port, health.local_path_port, health.protocol) == (21500, 8080, "http")
    assert (grpc.listener_port, grpc.local_path_port, grpc.protocol) == (21501, 9090, "http2")
    assert health.parsed_from_check


def test_without_an_address_the_sidecar_is_here(world: World) -> None:
    world.register(http="http://localhost")
    assert world.runs.targets["h"] == "http://127.0.0.1:21500"
    assert {one.path: one.local_path_port for one in exposed_paths(world.local, "web")}["/"] == 80


def test_registering_again_keeps_the_ports_and_the_status(world: World) -> None:
    world.register()
    world.local.update_check("h", "critical", "down")
    world.register()
    assert world.ports() == {"h": 21500, "g": 21501, "s": 0, "t": 0}
    assert world.local.checks["h"].check.status == "critical"
    assert world.runs.targets["h"].startswith("http://127.0.0.1:21500")


def test_a_change_elsewhere_restarts_nothing(world: World) -> None:
    world.register()
    told = world.runs.told
    world.local.merge_again("web-sidecar-proxy")
    world.local.put_service(world.local.services["web-sidecar-proxy"].service)
    assert world.runs.told == told


@pytest.mark.parametrize("how", ["registration", "deregistration"])
def test_no_longer_exposed(world: World, how: str) -> None:
    world.register()
    if how == "registration":
        sidecar = world.local.services["web-sidecar-proxy"].service
        proxy = msgspec.structs.replace(
            sidecar.proxy, expose=msgspec.structs.replace(sidecar.proxy.expose, checks=False)
        )
        world.local.put_service(msgspec.structs.replace(sidecar, proxy=proxy))
    else:
        world.local.remove_service("web-sidecar-proxy")
    assert set(world.ports().values()) == {0}
    assert world.runs.targets == {"g": "127.0.0.1:9090/pkg.Svc", "h": "http://127.0.0.1:8080/health?x"}
    assert exposed_paths(world.local, "web") == ()


def test_the_sidecar_is_told_of_new_ports(world: World) -> None:
    world.register()
    woken: list[bool] = []
    world.local.watches.subscribe([("agent-service", "web-sidecar-proxy")], lambda: woken.append(True))
    world.local.add_check(CheckDefinition(name="late", http="http://127.0.0.1:1/", interval=10.0), service_id="web")
    assert woken == [True]
    assert world.local.checks["late"].check.exposed_port == 21502
    world.local.watches.subscribe([("agent-service", "web-sidecar-proxy")], lambda: woken.append(True))
    world.local.remove_check("late")
    assert woken == [True, True]


def test_without_a_free_port_the_check_stays(world: World) -> None:
    world.local.settings = replace(world.local.settings, expose_min_port=21501, expose_max_port=21501)
    world.register()
    assert sorted(world.ports().values()) == [0, 0, 0, 21501]
    assert len(exposed_paths(world.local, "web")) == 1
