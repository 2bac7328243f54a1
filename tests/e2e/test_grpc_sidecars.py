"""A grpcio client and server with two sidecars between them: mutual TLS, HTTP/2 all the way, every kind of call.

Surface rows M24, M70; issue of layer 7.
"""

from __future__ import annotations

import http.client
import queue
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived
from meshtest.backends import backends
from meshtest.grpcpeers import SERVICE, EchoClient, EchoServer
from meshtest.process import AgentProcess
from meshtest.sidecars import Sidecars, dial, free_port, sidecars

PATIENCE = 30.0


class Pair:
    """web with the upstreams api (gRPC, routed to api2 by a header) and plain (HTTP/1.1); all with running sidecars."""

    def __init__(self, agent: AgentProcess, mesh: Sidecars, server: EchoServer, ports: dict[str, int]) -> None:
        self.agent = agent
        self.mesh = mesh
        self.server = server
        self.ports = ports
        self.client = EchoClient(ports["api"])

    def settled(self, message: bytes = b"hello") -> bool:
        try:
            self.client.say(message, timeout=PATIENCE)
        except grpc.RpcError:
            return False
        return True

    def code(self) -> grpc.StatusCode:
        try:
            self.client.say(b"hello", timeout=PATIENCE)
        except grpc.RpcError as error:
            return error.code()
        return grpc.StatusCode.OK


ROUTES = [
    {
        "Match": {
            "HTTP": {"PathExact": "/meshtest.Echo/Say", "Header": [{"Name": "x-to", "Exact": "api2"}]},
        },
        "Destination": {"Service": "api2"},
    },
    {
        "Match": {"HTTP": {"PathPrefix": "/meshtest.Echo/"}},
        "Destination": {"RetryOn": ["unavailable"], "NumRetries": 3},
    },
]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder: Path = tmp_path_factory.mktemp("grpc")
    api, api2 = EchoServer("api"), EchoServer("api2")
    ports = {"api": free_port(), "plain": free_port()}
    with AgentProcess.server() as agent, sidecars(agent, folder) as mesh, backends("plain") as (plain,):
        agent.wait("CA roots", lambda: agent.get("/v1/connect/ca/roots")["Roots"])
        for name, protocol in (("api", "grpc"), ("api2", "grpc"), ("plain", "http")):
            entry = {"Kind": "service-defaults", "Name": name, "Protocol": protocol}
            assert agent.put("/v1/config", entry).status == 200
        assert agent.put("/v1/config", {"Kind": "service-router", "Name": "api", "Routes": ROUTES}).status == 200
        for name, port in (("api", api.port), ("api2", api2.port), ("plain", plain.port)):
            mesh.register(name, port)
            mesh.start(name)
        mesh.register("web", free_port(), ports)
        mesh.start("web")
        made = Pair(agent, mesh, api, ports)
        agent.wait("a first call", made.settled)
        yield made
        made.client.close()
    api.close()
    api2.close()


def test_unary_with_metadata_both_ways(pair: Pair) -> None:
    message, call = pair.client.say.with_call(b"hello", timeout=PATIENCE, metadata=[("x-client", "me")])
    assert message == b"hello"
    assert dict(call.initial_metadata())["x-server"] == "api"
    assert dict(call.initial_metadata())["x-seen"] == "me"
    assert dict(call.trailing_metadata())["x-length"] == "5"


@pytest.mark.parametrize("code", ["NOT_FOUND", "INTERNAL", "UNAVAILABLE"])
def test_errors_arrive_with_their_words(pair: Pair, code: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        pair.client.say(f"fail {code} words with é and %".encode(), timeout=PATIENCE)
    assert caught.value.code() is getattr(grpc.StatusCode, code)
    assert caught.value.details() == "words with é and %"


def test_an_unknown_method_is_the_servers_answer(pair: Pair) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        pair.client.unknown(b"", timeout=PATIENCE)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_server_streams(pair: Pair) -> None:
    got = list(pair.client.count(b"1000", timeout=PATIENCE))
    assert got == [str(at).encode() for at in range(1000)]


def test_a_client_streams(pair: Pair) -> None:
    assert pair.client.sum((b"x" * 1000 for _ in range(300)), timeout=PATIENCE) == b"300000"


def test_both_stream_in_turns(pair: Pair) -> None:
    """Each answer is seen before the next message is sent: nothing waits for the end."""
    messages: queue.Queue[bytes | None] = queue.Queue()
    answers = pair.client.chat(iter(messages.get, None), timeout=PATIENCE)
    for at in range(20):
        messages.put(str(at).encode())
        assert next(answers) == str(at).encode()
    messages.put(None)
    assert list(answers) == []


def test_large_messages(pair: Pair) -> None:
    data = bytes(range(256)) * (20 << 12)
    assert pair.client.say(data, timeout=PATIENCE) == data


def test_many_calls_at_once(pair: Pair) -> None:
    calls = [pair.client.say.future(b"%d" % at * 50, timeout=PATIENCE) for at in range(300)]
    assert [call.result() for call in calls] == [b"%d" % at * 50 for at in range(300)]


def test_a_cancelled_call_is_cancelled_at_the_server(pair: Pair) -> None:
    pair.server.waiting.clear()
    pair.server.cancelled.clear()
    call = pair.client.wait.future(b"")
    assert pair.server.waiting.wait(PATIENCE)
    call.cancel()
    assert pair.server.cancelled.wait(PATIENCE)


def test_a_deadline_passes(pair: Pair) -> None:
    pair.server.waiting.clear()
    pair.server.cancelled.clear()
    with pytest.raises(grpc.RpcError) as caught:
        pair.client.wait(b"", timeout=0.5)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert pair.server.cancelled.wait(PATIENCE)


def test_a_slow_reader_stops_nobody_else(pair: Pair) -> None:
    big = b"x" * 100_000
    done = threading.Event()

    def messages() -> Iterator[bytes]:
        for _ in range(100):
            yield big
        done.set()

    answers = pair.client.chat(messages(), timeout=120)
    assert next(answers) == big
    for _ in range(20):
        assert pair.client.say(b"quick", timeout=PATIENCE) == b"quick"
    assert sum(len(answer) for answer in answers) == 99 * len(big)
    assert done.is_set()


def test_a_call_is_routed_by_its_method_and_metadata(pair: Pair) -> None:
    _, call = pair.client.say.with_call(b"hello", timeout=PATIENCE, metadata=[("x-to", "api2")])
    assert dict(call.initial_metadata())["x-server"] == "api2"
    assert pair.client.sum(iter([b"x"]), timeout=PATIENCE, metadata=[("x-to", "api2")]) == b"1"


def test_a_call_that_is_unavailable_is_tried_again(pair: Pair) -> None:
    pair.server.failures = 2
    assert pair.client.flaky(b"hello", timeout=PATIENCE) == b"hello"
    pair.server.failures = 10
    with pytest.raises(grpc.RpcError) as caught:
        pair.client.flaky(b"hello", timeout=PATIENCE)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert pair.server.failures == 10 - 4
    pair.server.failures = 0


def test_a_deny_ends_calls_on_their_way_and_those_to_come(pair: Pair) -> None:
    pair.server.waiting.clear()
    pair.server.cancelled.clear()
    call = pair.client.wait.future(b"")
    assert pair.server.waiting.wait(PATIENCE)
    pair.mesh.intention("web", "api", "deny")
    with pytest.raises(grpc.RpcError) as caught:
        call.result(PATIENCE)
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert pair.server.cancelled.wait(PATIENCE)
    assert pair.code() is grpc.StatusCode.PERMISSION_DENIED
    pair.mesh.intention("web", "api", "allow")
    pair.agent.wait("calls again", pair.settled)


def test_http_1_1_reaches_a_grpc_service(pair: Pair) -> None:
    """The sidecars speak HTTP/2 to each other and to the service; the application need not."""
    connection = http.client.HTTPConnection("127.0.0.1", pair.ports["api"], timeout=PATIENCE)
    headers = {"content-type": "application/grpc", "te": "trailers"}
    for message in (b"hello", b"again"):
        body = b"\0" + len(message).to_bytes(4, "big") + message
        connection.request("POST", "/meshtest.Echo/Say", body, headers)
        answer = connection.getresponse()
        assert (answer.status, answer.headers["x-server"], answer.read()) == (200, "api", body)
    connection.close()


def test_http_2_reaches_a_service_of_http_1_1(pair: Pair) -> None:
    with dial(pair.ports["plain"], PATIENCE) as connection:
        peer = H2Connection(H2Configuration(header_encoding="utf-8"))
        peer.initiate_connection()
        for stream in (1, 3, 5):
            fields = [(":method", "GET"), (":scheme", "http"), (":authority", "plain"), (":path", f"/{stream}")]
            peer.send_headers(stream, fields, end_stream=True)
        connection.sendall(peer.data_to_send())
        answers: dict[int, tuple[str, bytes]] = {}
        statuses: dict[int, str] = {}
        while len(answers) < 3:
            data = connection.recv(65536)
            assert data
            for event in peer.receive_data(data):
                if isinstance(event, ResponseReceived):
                    statuses[event.stream_id] = dict(event.headers)[":status"]
                elif isinstance(event, DataReceived) and event.data:
                    answers[event.stream_id] = (statuses[event.stream_id], event.data)
            connection.sendall(peer.data_to_send())
    assert answers == dict.fromkeys((1, 3, 5), ("200", b"plain"))


def test_a_health_service_is_asked(pair: Pair) -> None:
    check = {
        "grpc": True,
        "grpc_service": SERVICE,
        "interval": "200ms",
        "healthy_threshold": 1,
        "unhealthy_threshold": 1,
    }
    wanted = [
        {"DestinationName": name, "LocalBindPort": port, "Config": {"health_check": check} if name == "api" else {}}
        for name, port in pair.ports.items()
    ]
    port = pair.agent.get("/v1/agent/service/web-sidecar-proxy")["Port"]
    pair.mesh.register("web", free_port(), sidecar_port=port, proxy={"Upstreams": wanted})
    pair.server.serving = False
    said = "instance check {}: target=api."
    pair.agent.wait("a bad check", lambda: said.format("fails") in pair.mesh.log("web"), within_s=60)
    pair.server.serving = True
    pair.agent.wait("a good check", lambda: said.format("passes") in pair.mesh.log("web"), within_s=60)
    pair.mesh.register("web", free_port(), pair.ports, sidecar_port=port)
    pair.agent.wait("a call", pair.settled, within_s=60)


def test_a_sidecar_that_stops_loses_no_call(pair: Pair) -> None:
    second = EchoServer("second")
    check = "service:api-b-sidecar-proxy"
    pair.mesh.register("api", second.port, ID="api-b")
    assert pair.agent.put(f"/v1/agent/check/fail/{check}").status == 200
    pair.mesh.start("api-b")
    assert pair.agent.put(f"/v1/agent/check/pass/{check}").status == 200  # before, it would be ejected

    def answered_by(name: str) -> bool:
        _, call = pair.client.say.with_call(b"hello", timeout=PATIENCE)
        return dict(call.initial_metadata())["x-server"] == name

    pair.agent.wait("calls at the second instance", lambda: answered_by("second"))
    failed: list[grpc.RpcError] = []
    stopped = threading.Event()

    def call_on() -> None:
        while not stopped.is_set():
            try:
                pair.client.say(b"hello", timeout=PATIENCE)
            except grpc.RpcError as error:
                failed.append(error)

    callers = [threading.Thread(target=call_on) for _ in range(4)]
    for caller in callers:
        caller.start()
    process = pair.mesh.processes["api-b"]
    process.terminate()
    process.wait(60)
    for _ in range(50):
        assert answered_by("api")
    stopped.set()
    for caller in callers:
        caller.join(PATIENCE)
    second.close()
    assert failed == []
