"""web in dc1 -> sidecar -> mesh gateways -> sidecar -> api in dc2, with real processes (surface rows M9, M67, X18)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from meshtest.sidecars import Echo, Sidecars, dial, exchange, free_port
from meshtest.two_datacenters import active_root, two_datacenters

#: Which service is reached in which mode.
SERVICES = {"local": "api", "remote": "db"}


class World:
    """Two datacenters with a mesh gateway each, and an upstream in each mode."""

    def __init__(self, near: Sidecars, far: Sidecars) -> None:
        self.near, self.far = near, far
        self.api = Echo()
        self.ports = {"local": free_port(), "remote": free_port()}
        for name in SERVICES.values():
            far.register(name, self.api.port, sidecar_port=free_port())
            far.start(name)
        self.gateways = {"near": free_port(), "far": free_port()}
        far.gateway("mesh-gateway", "far-gateway", self.gateways["far"], TaggedAddresses=_wan(self.gateways["far"]))
        at = f"127.0.0.1:{self.gateways['near']}"
        flags = ("-register", "-service", "near-gateway", "-address", at, "-wan-address", at)
        near.start("mesh", *flags, by="-gateway")
        upstreams = [
            {
                "DestinationName": SERVICES[mode],
                "Datacenter": "dc2",
                "LocalBindPort": port,
                "MeshGateway": {"Mode": mode},
            }
            for mode, port in self.ports.items()
        ]
        near.register("web", free_port(), sidecar_port=free_port(), proxy={"Upstreams": upstreams})
        near.start("web")


def _wan(port: int) -> dict[str, object]:
    return {"wan": {"Address": "127.0.0.1", "Port": port}}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with two_datacenters(tmp_path_factory.mktemp("gateways")) as (here, there):
        yield World(here, there)


def _waits(world: World, mode: str, answer: bytes = b"hello") -> None:
    world.near.agent.wait(f"an exchange by way of {mode}", lambda: exchange(world.ports[mode]) == answer)


@pytest.mark.parametrize("mode", ["local", "remote"])
def test_a_service_of_another_datacenter_is_reached_through_gateways(world: World, mode: str) -> None:
    _waits(world, mode)
    with dial(world.ports[mode]) as connection:
        connection.sendall(b"x" * 100_000)
        connection.shutdown(1)
        got = b""
        while data := connection.recv(65536):
            got += data
    assert got == b"x" * 100_000 + b"BYE"


def test_each_datacenter_knows_the_gateways_of_the_other(world: World) -> None:
    for agent, other, port in ((world.near.agent, "dc2", "far"), (world.far.agent, "dc1", "near")):
        found = agent.get("/v1/internal/federation-states/mesh-gateways")
        assert found[other][0]["Service"]["TaggedAddresses"]["wan"]["Port"] == world.gateways[port]


def test_intentions_of_the_other_datacenter_decide(world: World) -> None:
    _waits(world, "local")
    world.near.intention("web", "api", "deny")  # written in the primary, copied from there
    _waits(world, "local", b"")
    world.near.intention("web", "api", "allow")
    _waits(world, "local")


def test_gateways_are_replaced_without_losing_a_connection(world: World) -> None:
    _waits(world, "local")
    check = {"Name": "up", "TTL": "1h", "Status": "passing"}
    second = {"Kind": "mesh-gateway", "Name": "second", "Address": "127.0.0.1", "Port": free_port(), "Check": check}
    assert world.near.agent.put("/v1/agent/service/register", second).status == 200
    process = world.near.start("second", "-drain-time", "60s", by="-proxy-id")

    def known() -> bool:
        snapshot = world.near.agent.get("/v1/agent/connect/proxy/web-sidecar-proxy")
        return len(snapshot["clusters"]["api.default.default.dc2"]["endpoints"]) == 2

    world.near.agent.wait("both gateways", known)
    with contextlib.ExitStack() as stack:
        live = [stack.enter_context(dial(world.ports["local"], 60.0)) for _ in range(6)]
        for connection in live:
            connection.sendall(b"a")
            assert connection.recv(1) == b"a"
        process.terminate()
        for _ in range(30):
            assert exchange(world.ports["local"]) == b"hello"
        for connection in live:
            connection.sendall(b"b")
            assert connection.recv(1) == b"b"
    assert process.wait(60) == 0
    assert world.near.agent.http("PUT", "/v1/agent/service/deregister/second").status == 200


def test_a_rotation_of_the_primary_drops_nobody(world: World) -> None:
    _waits(world, "local")
    before = active_root(world.near.agent)
    with dial(world.ports["local"]) as live:
        live.sendall(b"live")
        assert live.recv(4) == b"live"
        config = {"Provider": "consul", "Config": {"PrivateKeyBits": 384}}
        assert world.near.agent.put("/v1/connect/ca/configuration", config).status == 200
        assert active_root(world.near.agent) != before
        world.far.agent.wait("the new root", lambda: active_root(world.far.agent) == active_root(world.near.agent))

        def renewed() -> bool:
            assert exchange(world.ports["local"]) == b"hello", "a new connection failed while the root was rotated"
            found = [one.agent.get(f"/v1/agent/connect/proxy/{name}-sidecar-proxy") for one, name in
                     ((world.near, "web"), (world.far, "api"))]  # fmt: skip
            return all(len(one["roots"]) == 2 and one["leaf_chain"].count("BEGIN") >= 2 for one in found)

        world.near.agent.wait("leafs below the new root", renewed, within_s=120, every_s=0.5)
        live.sendall(b"still")
        assert live.recv(5) == b"still"
