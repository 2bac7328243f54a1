"""Transparent mode on two hosts that the test makes: an unmodified client, the kernel's redirection, real sidecars.

web runs on one host, api on the other; the agents and sidecars run as root and are left alone, clients as nobody.
Surface rows M5, M10, M29, CL21, D8.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from meshtest.backends import Backend
from meshtest.namespaces import Host, as_user, wire
from meshtest.peers import program
from meshtest.process import AgentProcess, meshagent_command
from meshtest.servers import client_of
from meshtest.sidecars import Echo, Sidecars, free_port, sidecars

NOBODY = 65534
AFTER_S = 60.0


class Mirror:
    """Tells whoever connects from which address he comes."""

    def __init__(self, address: str) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.server = socket.create_server((address, 0), family=family)
        self.port: int = self.server.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, peer = self.server.accept()
                with connection:
                    connection.sendall(str(peer[1]).encode())


class World:
    """Both hosts with what runs there."""

    def __init__(self, here: Host, there: Host, folder: Path, agent: AgentProcess, other: AgentProcess) -> None:
        self.here, self.there, self.folder = here, there, folder
        self.agent, self.other = agent, other
        self.api = Echo()
        self.mesh: Sidecars
        self.far: Sidecars
        self.mirrors: list[Mirror] = []

    def redirect(self, *flags: str, host: Host | None = None, agent: AgentProcess | None = None) -> str:
        """`connect redirect-traffic`, from outside of the host."""
        path = (host or self.here).path
        command = [*meshagent_command(), "connect", "redirect-traffic", "-netns", path, *flags]
        with self.here.inside() if agent is None else contextlib.nullcontext():
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def address(self, service: str) -> str:
        """The virtual address of a service."""
        chain = self.agent.get(f"/v1/discovery-chain/{service}")["Chain"]
        found: str = chain["AutoVirtualIPs"][0]
        return found

    def intention(self, destination: str, action: str) -> None:
        path = f"/v1/connect/intentions/exact?source=web&destination={destination}"
        self.agent.put(path, {"Action": action})

    def log(self) -> str:
        return self.mesh.log("web")


def dial(address: str, port: int) -> socket.socket:
    """A connection of an application."""
    with as_user(NOBODY):
        return socket.create_connection((address, port), timeout=10.0)


def exchange(address: str, port: int) -> bytes:
    """What an application is echoed; b"" when it is refused or cut."""
    try:
        with dial(address, port) as connection:
            connection.sendall(b"hello")
            connection.shutdown(socket.SHUT_WR)
            got = b""
            while chunk := connection.recv(100):
                got += chunk
            return got
    except OSError:
        return b""


def seen_from(address: str, port: int) -> tuple[int, int]:
    """(the application's port, the port that the other end sees)"""
    with dial(address, port) as connection:
        return connection.getsockname()[1], int(connection.recv(100))


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with contextlib.ExitStack() as stack:
        here, there = Host(), Host()
        stack.callback(here.close)
        stack.callback(there.close)
        (four, _), (far_four, far_six) = wire(here, there)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="transparent")))
        with here.inside():
            deny = {"default_intention_policy": "deny"}
            agent = stack.enter_context(AgentProcess.server({"bind_addr": four, **deny}))
            with there.inside():
                join = [f"{four}:{agent.ports['serf_lan']}"]
                other = stack.enter_context(client_of([agent], "far", bind_addr=far_four, retry_join=join, **deny))
                made = World(here, there, folder, agent, other)
                made.mirrors = [Mirror(far_four), Mirror(far_six)]
                far = stack.enter_context(sidecars(other, folder))
                made.far = far
                transparent = {"Mode": "transparent", "TransparentProxy": {"DialedDirectly": True}}
                far.register("api", made.api.port, proxy=transparent)
                far.start("api")
            mesh = stack.enter_context(sidecars(agent, folder))
            made.mesh = mesh
            agent.wait("CA roots", lambda: agent.get("/v1/connect/ca/roots")["Roots"])
            page = Backend("page")
            stack.callback(page.close)
            agent.put("/v1/config", {"Kind": "service-defaults", "Name": "page", "Protocol": "http"})
            mesh.register("page", page.port, sidecar_port=21210)
            mesh.register("web", free_port(), proxy={"Mode": "transparent"}, sidecar_port=21211)
            mesh.start("page")
            mesh.start("web")
            plain = [word for one in made.mirrors for word in ("-exclude-inbound-port", str(one.port))]
            ports = [word for port in other.ports.values() if port > 0 for word in ("-exclude-inbound-port", str(port))]
            with there.inside():
                url = ["-http-addr", other.url]
                made.redirect(
                    "-proxy-uid", "0", "-proxy-id", "api-sidecar-proxy", *plain, *ports, *url, host=there, agent=other
                )
            apply(made)
            yield made


def apply(world: World, uid: str = "0") -> None:
    """The redirection of the near host."""
    agent = world.agent
    excluded = [word for port in agent.ports.values() for word in ("-exclude-inbound-port", str(port))]
    said = world.redirect(
        "-proxy-uid", uid, "-proxy-id", "web-sidecar-proxy", "-http-addr", agent.url,
        "-consul-dns-port", str(agent.ports["dns"]), *excluded,
    )  # fmt: skip
    assert said == "Successfully applied traffic redirection rules\n"


@pytest.fixture
def allowed(world: World) -> Iterator[World]:
    """web may talk to api and to page."""
    for name in ("api", "page"):
        world.intention(name, "allow")
    address = world.address("api")
    world.agent.wait("api is reached", lambda: exchange(address, 80) == b"helloBYE")
    yield world


def test_nothing_is_reached_without_an_intention(world: World) -> None:
    address = world.address("api")
    assert exchange(address, 80) == b""
    assert "reason=no service that may be reached from here has this virtual address" in world.log()
    snapshot: dict[str, Any] = world.agent.get("/v1/agent/connect/proxy/web-sidecar-proxy")
    assert snapshot["outbound"] == []
    world.intention("api", "allow")
    world.agent.wait("the intention", lambda: exchange(address, 80) == b"helloBYE")
    shown = world.mesh.run("proxy", "config", "-http-addr", world.agent.url, "web-sidecar-proxy")
    assert f"{address}" in shown
    world.intention("api", "deny")


def test_whatever_the_port_an_address_is_the_service(allowed: World) -> None:
    address = allowed.address("api")
    assert exchange(address, 80) == exchange(address, 5432) == b"helloBYE"


def test_curl_reaches_a_service_by_its_name(allowed: World) -> None:
    resolv = allowed.folder / "resolv.conf"
    resolv.write_text("nameserver 192.0.2.53\n")  # never asked: names go to the agent
    script = f'mount --bind {resolv} /etc/resolv.conf && exec setpriv --reuid {NOBODY} --clear-groups "$@"'
    curl = [program("curl"), "-sS", "--max-time", "20", "http://page.virtual.consul/"]

    def answered() -> bool:
        line = ["unshare", "--mount", "sh", "-c", script, "sh", *curl]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        assert (done.stdout, done.returncode) == ("page", 0), done.stderr
        return True

    allowed.agent.wait("an answer", answered)


def test_a_deny_cuts_what_is_open_and_what_comes(allowed: World) -> None:
    address = allowed.address("api")
    with dial(address, 80) as live:
        live.sendall(b"live")
        assert live.recv(4) == b"live"
        live.settimeout(AFTER_S)
        allowed.intention("api", "deny")
        try:
            assert live.recv(10) == b""
        except ConnectionError:
            pass
    allowed.agent.wait("refused", lambda: exchange(address, 80) == b"")


def test_what_is_not_of_the_mesh_passes_through_the_sidecar(world: World) -> None:
    for address, mirror in zip(("10.77.1.2", "fd77:1::2"), world.mirrors, strict=True):
        own, seen = seen_from(address, mirror.port)
        assert own != seen, "the sidecar dialled"
        with socket.create_connection((address, mirror.port), timeout=10.0) as excluded:
            assert excluded.getsockname()[1] == int(excluded.recv(100)), "root is left alone"


def test_nobody_reaches_the_application_past_its_sidecar(world: World) -> None:
    accepted = world.api.accepted
    for user in (contextlib.nullcontext(), as_user(NOBODY)):
        with user:
            try:
                with socket.create_connection(("10.77.1.2", 9), timeout=10.0) as connection:
                    connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
                    assert b"BYE" not in connection.recv(100)
            except OSError:
                pass
    assert world.api.accepted == accepted


def test_a_permissive_application_is_reached_past_the_mesh_at_its_own_port(allowed: World) -> None:
    agent, port = allowed.agent, allowed.api.port
    agent.put("/v1/config", {"Kind": "mesh", "AllowEnablingPermissiveMutualTLS": True})
    agent.put("/v1/config", {"Kind": "service-defaults", "Name": "api", "MutualTLSMode": "permissive"})
    try:
        for said in (b"plain", b"\x16\x03\x01\x00\x10\x01 an application that speaks TLS itself"):
            agent.wait("what is said passes as it is", lambda said=said: by_root(port, said) == said + b"BYE")
        assert exchange(allowed.address("api"), 80) == b"helloBYE", "the mesh goes on beside it"
    finally:
        agent.put("/v1/config", {"Kind": "service-defaults", "Name": "api"})
    agent.wait("strict again", lambda: b"BYE" not in by_root(port, b"plain"))


def by_root(port: int, said: bytes) -> bytes:
    """What somebody outside of the mesh gets of api."""
    got = b""
    with contextlib.suppress(OSError), socket.create_connection(("10.77.1.2", port), timeout=10.0) as connection:
        connection.sendall(said)
        connection.shutdown(socket.SHUT_WR)
        while chunk := connection.recv(100):
            got += chunk
    return got


def test_an_instance_is_dialled_directly_where_that_is_said(allowed: World) -> None:
    assert exchange("10.77.1.2", allowed.api.port) == b"helloBYE"


def test_a_manual_address_means_the_service_too(allowed: World) -> None:
    allowed.agent.put("/v1/internal/service-virtual-ip", {"Service": "api", "ManualVIPs": ["10.96.0.7"]})
    allowed.agent.wait("the address", lambda: exchange("10.96.0.7", 80) == b"helloBYE")
    allowed.agent.put("/v1/internal/service-virtual-ip", {"Service": "api", "ManualVIPs": []})


def test_a_closed_mesh_lets_nothing_out(allowed: World) -> None:
    mirror = allowed.mirrors[0].port
    entry = {"Kind": "mesh", "TransparentProxy": {"MeshDestinationsOnly": True}}
    allowed.agent.put("/v1/config", entry)
    try:
        allowed.agent.wait("the entry", lambda: exchange("10.77.1.2", mirror) == b"")
        assert exchange(allowed.address("api"), 80) == b"helloBYE"
    finally:
        allowed.agent.http("DELETE", "/v1/config/mesh/mesh")
    allowed.agent.wait("open again", lambda: exchange("10.77.1.2", mirror) != b"")


def test_who_dials_the_listener_itself_is_refused(world: World) -> None:
    assert exchange("127.0.0.1", 15001) == b""
    assert "reason=nobody redirected it here" in world.log()


def test_a_redirection_that_does_not_spare_the_sidecar_does_not_spin(world: World) -> None:
    apply(world, uid="12345")
    try:
        for times, address in enumerate(("10.77.1.2", "fd77:1::2"), 1):
            assert exchange(address, world.mirrors[times - 1].port) == b""
            assert world.log().count("the redirection does not leave the user alone that the proxy runs as") == times
    finally:
        apply(world)
    own, seen = seen_from("10.77.1.2", world.mirrors[0].port)
    assert own != seen


def test_it_goes_on_without_the_agent_and_ends_with_the_rules(allowed: World) -> None:
    address = allowed.address("api")
    os.kill(allowed.agent.pid, 19)
    try:
        assert exchange(address, 80) == b"helloBYE"
    finally:
        os.kill(allowed.agent.pid, 18)
    assert allowed.redirect("-remove") == "Successfully removed traffic redirection rules\n"
    try:
        own, seen = seen_from("10.77.1.2", allowed.mirrors[0].port)
        assert own == seen, "nothing stands between"
    finally:
        apply(allowed)
