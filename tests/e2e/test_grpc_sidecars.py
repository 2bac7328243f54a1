"""A grpcio client and server with two sidecars between them: mutual TLS, HTTP/2 all the way, every kind of call.

Surface rows M24, M70; issue of layer 7.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from meshtest.grpcpeers import EchoClient, EchoServer, echo_client
from meshtest.process import AgentProcess
from meshtest.sidecars import Sidecars, free_port, sidecars

PATIENCE = 30.0


class Pair:
    """web with the upstream api, which speaks gRPC; both with running sidecars."""

    def __init__(self, agent: AgentProcess, mesh: Sidecars, server: EchoServer, client: EchoClient) -> None:
        self.agent = agent
        self.mesh = mesh
        self.server = server
        self.client = client


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder: Path = tmp_path_factory.mktemp("grpc")
    server = EchoServer("api")
    port = free_port()
    with AgentProcess.server() as agent, sidecars(agent, folder) as mesh, echo_client(port) as client:
        agent.wait("CA roots", lambda: agent.get("/v1/connect/ca/roots")["Roots"])
        entry = {"Kind": "service-defaults", "Name": "api", "Protocol": "grpc"}
        assert agent.put("/v1/config", entry).status == 200
        mesh.register("api", server.port)
        mesh.register("web", free_port(), {"api": port})
        mesh.start("api")
        mesh.start("web")
        assert client.say(b"hello", timeout=PATIENCE, wait_for_ready=True) == b"hello"
        yield Pair(agent, mesh, server, client)
    server.close()


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
