"""web -> sidecar -> sidecar -> api, with real processes: mutual TLS, live intentions, half-close, faults.

Surface rows M50, M52, M70, CL20; the weak points of builtin-proxy.md that ours mends.
"""

from __future__ import annotations

import os
import signal
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from meshtest.process import AgentProcess
from meshtest.servers import client_of
from meshtest.sidecars import Echo, Sidecars, dial, exchange, free_port, sidecars


class Pair:
    """web with the upstream api, both with running sidecars."""

    def __init__(self, agent: AgentProcess, mesh: Sidecars) -> None:
        self.agent = agent
        self.mesh = mesh
        self.api = Echo()
        self.port = free_port()
        agent.wait("CA roots", lambda: agent.get("/v1/connect/ca/roots")["Roots"])
        mesh.register("api", self.api.port)
        mesh.register("web", free_port(), {"api": self.port})
        mesh.start("api")
        mesh.start("web")
        agent.wait("a first exchange", lambda: exchange(self.port) == b"hello")

    def leafs(self) -> list[str]:
        """The chains that both sidecars use."""
        path = "/v1/agent/connect/proxy/{}-sidecar-proxy"
        return [self.agent.get(path.format(name))["leaf_chain"] for name in ("web", "api")]

    @property
    def public_port(self) -> int:
        found: int = self.agent.get("/v1/agent/service/api-sidecar-proxy")["Port"]
        return found


@pytest.fixture
def pair(agent: AgentProcess, tmp_path: Path) -> Iterator[Pair]:
    with sidecars(agent, tmp_path) as mesh:
        yield Pair(agent, mesh)


def test_bytes_arrive_and_half_close_is_kept(pair: Pair) -> None:
    data = os.urandom(3_000_000)
    with dial(pair.port) as connection:
        got = bytearray()

        def read() -> None:
            while chunk := connection.recv(1 << 20):
                got.extend(chunk)

        reader = threading.Thread(target=read)
        reader.start()
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)  # the application still has something to say
        reader.join(30)
    assert bytes(got) == data + b"BYE"


def test_a_deny_cuts_what_is_open_and_what_comes(pair: Pair) -> None:
    with dial(pair.port) as live:
        live.sendall(b"live")
        assert live.recv(4) == b"live"
        live.settimeout(5.0)
        pair.mesh.intention("web", "api", "deny")
        try:
            assert live.recv(10) == b""
        except ConnectionError:
            pass
    accepted = pair.api.accepted
    assert exchange(pair.port) == b""
    assert pair.api.accepted == accepted, "the application hears nothing of who is denied"
    assert "Matched L4 intention: default/web => default/api (Precedence: 9, Action: DENY)" in pair.mesh.log("api")
    pair.mesh.intention("web", "api", "allow")
    pair.agent.wait("allowed again", lambda: exchange(pair.port) == b"hello")


def test_an_unrelated_intention_cuts_nobody(pair: Pair) -> None:
    with dial(pair.port) as live:
        live.sendall(b"live")
        assert live.recv(4) == b"live"
        pair.mesh.intention("other", "api", "deny")
        pair.agent.wait(
            "the new rule", lambda: "other" in str(pair.agent.get("/v1/agent/connect/proxy/api-sidecar-proxy"))
        )
        live.sendall(b"still")
        assert live.recv(5) == b"still"


def test_who_proves_nothing_never_reaches_the_application(pair: Pair) -> None:
    accepted = pair.api.accepted
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    refused = (ssl.SSLError, ConnectionError, AssertionError)
    with dial(pair.public_port) as raw, pytest.raises(refused), context.wrap_socket(raw) as tls:
        tls.sendall(b"hello")
        assert tls.recv(5) == b"hello"
    with dial(pair.public_port) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        try:
            assert b"HTTP" not in plain.recv(100)
        except ConnectionError:
            pass
    assert pair.api.accepted == accepted


def test_it_goes_on_without_the_agent(pair: Pair) -> None:
    pair.agent.kill()
    assert exchange(pair.port) == b"hello"
    assert exchange(pair.port) == b"hello"


def test_a_rotation_of_the_root_under_load_loses_nothing(pair: Pair) -> None:
    lost: list[int] = []
    ended = threading.Event()
    done = [0]

    def load() -> None:
        while not ended.is_set():
            done[0] += 1
            if exchange(pair.port) != b"hello":
                lost.append(done[0])

    worker = threading.Thread(target=load)
    worker.start()
    try:
        with dial(pair.port) as live:
            for config in ({"PrivateKeyBits": 384}, {"PrivateKeyType": "rsa"}):
                before = pair.leafs()
                body = {"Provider": "consul", "Config": config}
                assert pair.agent.put("/v1/connect/ca/configuration", body).status == 200
                pair.agent.wait("new leafs", lambda old=before: not set(old) & set(pair.leafs()), within_s=60.0)
            live.sendall(b"live")
            assert live.recv(4) == b"live"
    finally:
        ended.set()
        worker.join()
    assert done[0] > 20
    assert lost == []


def test_a_stop_lets_open_connections_end(pair: Pair) -> None:
    with dial(pair.port) as live:
        live.sendall(b"live")
        assert live.recv(4) == b"live"
        process = pair.mesh.processes["api"]
        process.send_signal(signal.SIGTERM)
        pair.agent.wait("no new ones", lambda: exchange(pair.port) == b"")
        live.sendall(b"still")
        assert live.recv(5) == b"still"
        live.shutdown(socket.SHUT_WR)
        assert live.recv(3) == b"BYE"
    assert process.wait(10) == 0


def test_a_dead_instance_is_not_noticed(agent: AgentProcess, tmp_path: Path) -> None:
    with sidecars(agent, tmp_path) as mesh:
        agent.wait("CA roots", lambda: agent.get("/v1/connect/ca/roots")["Roots"])
        api, port = Echo(), free_port()
        mesh.register("api", api.port, ID="api-1")
        mesh.register("api", free_port(), ID="api-2")  # its sidecar never runs
        mesh.register("web", free_port(), {"api": port})
        mesh.start("api-1")
        mesh.start("web")
        agent.wait("a first exchange", lambda: exchange(port) == b"hello")
        assert [exchange(port) for _ in range(30)] == [b"hello"] * 30


def test_splits_redirects_and_new_upstreams_are_followed(agent: AgentProcess, tmp_path: Path) -> None:
    with sidecars(agent, tmp_path) as mesh:
        agent.wait("CA roots", lambda: agent.get("/v1/connect/ca/roots")["Roots"])
        one, two, port, later = Echo(b"1"), Echo(b"2"), free_port(), free_port()
        mesh.register("api", one.port)
        mesh.register("next", two.port)
        mesh.register("web", free_port(), {"api": port})
        for name in ("api", "next", "web"):
            mesh.start(name)

        def first() -> bytes:
            with dial(port) as connection:
                return connection.recv(1)

        agent.wait("a first exchange", lambda: first() == b"1")
        assert (
            agent.put("/v1/config", {"Kind": "service-resolver", "Name": "api", "Redirect": {"Service": "next"}}).status
            == 200
        )
        agent.wait("the redirect", lambda: first() == b"2")
        mesh.register("web", free_port(), {"next": later})
        agent.wait("the new upstream", lambda: exchange(later, b"2")[:1] == b"2")
        with pytest.raises(ConnectionRefusedError):
            dial(port)


def test_a_limit_of_connections_holds(agent: AgentProcess, tmp_path: Path) -> None:
    with sidecars(agent, tmp_path) as mesh:
        agent.wait("CA roots", lambda: agent.get("/v1/connect/ca/roots")["Roots"])
        api, port = Echo(), free_port()
        mesh.register("api", api.port, proxy={"Config": {"max_inbound_connections": 2}})
        mesh.register("web", free_port(), {"api": port})
        mesh.start("api")
        mesh.start("web")
        agent.wait("a first exchange", lambda: exchange(port) == b"hello")
        held = []
        for _ in range(2):
            connection = dial(port)
            connection.sendall(b"x")
            assert connection.recv(1) == b"x"
            held.append(connection)
        assert exchange(port) == b""
        for connection in held:
            connection.close()
        agent.wait("room again", lambda: exchange(port) == b"hello")


def test_sidecars_at_client_agents(agent: AgentProcess, tmp_path: Path) -> None:
    """Leafs are signed by a server, snapshots are put together from what servers tell, entries reach registrations."""
    with client_of([agent], "c1") as one, client_of([agent], "c2") as two:
        (tmp_path / "1").mkdir()
        (tmp_path / "2").mkdir()
        with sidecars(one, tmp_path / "1") as here, sidecars(two, tmp_path / "2") as there:
            api, port = Echo(), free_port()
            # both agents are on one host: the sidecars' ports must differ
            there.register("api", api.port, sidecar_port=free_port())
            here.register("web", free_port(), {"api": port}, sidecar_port=free_port())
            there.start("api")
            here.start("web")
            agent.wait("a first exchange", lambda: exchange(port) == b"hello", within_s=60.0)
            defaults = {"Kind": "proxy-defaults", "Name": "global", "Config": {"local_connect_timeout_ms": 700}}
            assert one.put("/v1/config", defaults).status == 200
            path = "/v1/agent/service/api-sidecar-proxy"
            two.wait("central configuration", lambda: "local_connect_timeout_ms" in str(two.get(path)))
            with dial(port) as live:
                live.sendall(b"live")
                assert live.recv(4) == b"live"
                one.put("/v1/connect/intentions/exact?source=web&destination=api", {"Action": "deny"})
                try:
                    assert live.recv(10) == b""
                except ConnectionError:
                    pass
            chain = one.http("POST", "/v1/discovery-chain/api", json={"OverrideConnectTimeout": "9s"})
            assert b'"ConnectTimeout":"9s"' in chain.body.replace(b" ", b"")
            uri = f"spiffe://{one.get('/v1/agent/connect/ca/roots')['TrustDomain']}/ns/default/dc/dc1/svc/web"
            body = {"Target": "api", "ClientCertURI": uri}
            answer = two.http("POST", "/v1/agent/connect/authorize", json=body)
            assert b'"Authorized":false' in answer.body.replace(b" ", b"")
