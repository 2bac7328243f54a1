"""Bad clients: malformed floods, half requests, slow ones, huge ones. The agent answers or closes, and goes on."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest
from meshtest.ask import dns_data
from meshtest.dnstext import question_bytes
from meshtest.process import AgentProcess
from meshtest.register import register


@pytest.fixture(scope="module")
def agent() -> Iterator[AgentProcess]:
    with AgentProcess.server({"limits": {"http_max_conns_per_client": 400}}) as running:
        register(running, {"Name": "web", "Address": "10.0.0.1", "Port": 80})
        running.wait("web by DNS", lambda: dns_data(running, "web.service.consul") == ["10.0.0.1"])
        yield running


@pytest.fixture(autouse=True)
def it_goes_on(agent: AgentProcess) -> Iterator[None]:
    yield
    assert agent.alive, agent.log()[-3000:]
    assert agent.get("/v1/status/leader")
    assert dns_data(agent, "web.service.consul") == ["10.0.0.1"]
    assert dns_data(agent, "web.service.consul", tcp=True) == ["10.0.0.1"]
    assert "Traceback" not in agent.log(), agent.log()[-3000:]


def connected(agent: AgentProcess, port: str = "http") -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", agent.ports[port]), timeout=10)
    sock.settimeout(10)
    return sock


def everything(sock: socket.socket) -> bytes:
    data = b""
    with contextlib.suppress(ConnectionError, TimeoutError):
        while piece := sock.recv(65536):
            data += piece
    return data


def test_a_flood_of_broken_dns_packets(agent: AgentProcess) -> None:
    chance = random.Random(7)
    good = question_bytes({"name": "web.service.consul", "type": "SRV", "edns": 1232})
    loop = b"\x42\x42\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + b"\xc0\x0c" + b"\x00\x01\x00\x01"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", agent.ports["dns"]))
        for at in range(20_000):
            packet = bytearray(good if at % 3 else loop)
            for _ in range(chance.randrange(1, 6)):
                packet[chance.randrange(len(packet))] = chance.randrange(256)
            with contextlib.suppress(ConnectionRefusedError, BlockingIOError):
                sock.send(bytes(packet[: chance.randrange(len(packet) + 1)]))
            if at % 200 == 0:
                time.sleep(0.002)
        sock.send(b"")
        sock.send(chance.randbytes(60_000))


def test_broken_dns_over_tcp(agent: AgentProcess) -> None:
    chance = random.Random(8)
    for length in (0, 1, 11, 12, 600, 65535):
        with connected(agent, "dns") as sock:
            sock.sendall(struct.pack("!H", length) + chance.randbytes(min(length, 600)))
            sock.shutdown(socket.SHUT_WR)
            everything(sock)
    idle = [connected(agent, "dns") for _ in range(50)]  # half a length, then silence
    for sock in idle:
        sock.sendall(b"\x00")
    assert dns_data(agent, "web.service.consul", tcp=True) == ["10.0.0.1"]
    for sock in idle:
        sock.close()


def test_dns_questions_pipelined_over_tcp_are_all_answered(agent: AgentProcess) -> None:
    packet = question_bytes({"name": "web.service.consul", "type": "A"})
    framed = struct.pack("!H", len(packet)) + packet
    with connected(agent, "dns") as sock:
        sock.sendall(framed * 200)
        sock.shutdown(socket.SHUT_WR)
        data, count = everything(sock), 0
    while data:
        size = struct.unpack("!H", data[:2])[0]
        data, count = data[2 + size :], count + 1
    assert count == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x00\x01\x02\x03\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /v1/status/leader HTTP/9.9\r\n\r\n",
        b"GET /v1/kv/%zz HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/status/leader HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 9\r\n\r\nabcde",
        b"PUT /v1/kv/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\nabc\r\n0\r\n\r\n",
        b"GET /v1/status/leader HTTP/1.1\r\nHost: x\r\nBad Header\r\n\r\n",
        b"GET /v1/status/leader HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 2_000_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 2_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/status/leader HTTP/1.1\r\nHost: x\r\n" + b"".join(b"H%d: 1\r\n" % n for n in range(20_000)) + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # a TLS hello on the plain port
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
    ids=lambda value: value[:24].decode("latin-1").split("\r")[0] + f" {len(value)}",
)
def test_a_malformed_request_is_answered_or_closed(agent: AgentProcess, request_bytes: bytes) -> None:
    with connected(agent) as sock:
        with contextlib.suppress(OSError):
            sock.sendall(request_bytes)
            sock.shutdown(socket.SHUT_WR)
        answer = everything(sock)
    # a status line of a 4xx/5xx, or nothing at all; %zz is answered by Consul with 400
    assert not answer or answer.split(b" ")[1][:1] in b"45", answer[:200]


def test_slow_clients_do_not_slow_the_others(agent: AgentProcess) -> None:
    """Slow-loris: 150 connections dribble headers; another client's requests stay quick."""
    slow = [connected(agent) for _ in range(150)]
    stop = threading.Event()

    def dribble() -> None:
        for sock in slow:
            with contextlib.suppress(OSError):
                sock.sendall(b"GET /v1/status/leader HTTP/1.1\r\n")
        while not stop.wait(0.1):
            for sock in slow:
                with contextlib.suppress(OSError):
                    sock.sendall(b"X-a: b\r\n")

    thread = threading.Thread(target=dribble)
    thread.start()
    try:
        times = [agent.http("GET", "/v1/status/leader").elapsed_s for _ in range(50)]
        assert sorted(times)[45] < 0.5
    finally:
        stop.set()
        thread.join()
        for sock in slow:
            sock.close()


def test_a_client_that_never_reads_is_not_buffered_without_end(agent: AgentProcess) -> None:
    agent.put("/v1/kv/big", body=b"x" * 500_000)
    unread = [connected(agent) for _ in range(20)]
    for sock in unread:
        with contextlib.suppress(OSError):
            sock.settimeout(0.5)
            sock.sendall(b"GET /v1/kv/big HTTP/1.1\r\nHost: x\r\n\r\n" * 50)  # 33 MB of answers each
    time.sleep(1)
    resident_kb = int(
        next(line for line in open(f"/proc/{agent.pid}/status") if line.startswith("VmRSS")).split()[1]  # noqa: SIM115
    )
    for sock in unread:
        sock.close()
    assert resident_kb < 300_000, f"{resident_kb} KB resident with 20 clients that do not read"


def test_a_body_over_the_limit_is_refused_before_it_is_read(agent: AgentProcess) -> None:
    """KV5: 413 and Consul's words; a gigabyte announced is not waited for."""
    answer = agent.http("PUT", "/v1/kv/too-big", body=b"x" * 600_000)
    assert answer.status == 413
    assert b"524288" in answer.body
    with connected(agent) as sock:
        sock.sendall(b"PUT /v1/kv/huge HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n" + b"x" * 1000)
        head = sock.recv(4096)
    assert head.startswith(b"HTTP/1.1 413")
    assert agent.http("GET", "/v1/kv/huge").status == 404


def test_many_connections_that_ask_nothing(agent: AgentProcess) -> None:
    idle = []
    for _ in range(300):
        with contextlib.suppress(OSError):
            idle.append(connected(agent))
    assert agent.get("/v1/status/leader")
    for sock in idle:
        sock.close()
