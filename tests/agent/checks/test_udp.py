import asyncio
import socket

import pytest

from meshagent.agent.checks.probe import Outcome
from meshagent.agent.checks.udp import prepare


@pytest.fixture
async def echo():
    """A UDP server that answers each datagram and keeps what it got."""
    got = []
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        sock.bind(("127.0.0.1", 0))

        def answer():
            data, peer = sock.recvfrom(100)
            got.append(data)
            sock.sendto(b"pong", peer)

        loop.add_reader(sock, answer)
        yield sock.getsockname()[1], got
        loop.remove_reader(sock)


async def test_an_answer_passes(define, tools, echo):
    """K13"""
    port, got = echo
    outcome = await prepare(define("udp", udp=f"127.0.0.1:{port}"), tools)()
    assert outcome == Outcome("passing", f"UDP connect 127.0.0.1:{port}: Success")
    assert got == [b""]


async def test_silence_passes(define, tools):
    """K13"""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{silent.getsockname()[1]}"
        outcome = await prepare(define("udp", udp=target, timeout=0.05), tools)()
    assert outcome == Outcome("passing", f"UDP connect {target}: Success")


async def test_a_refusal_is_critical(define, tools):
    """K13"""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    outcome = await prepare(define("udp", udp=f"127.0.0.1:{port}"), tools)()
    assert outcome == Outcome("critical", f"read udp 127.0.0.1:{port}: read: connection refused")


async def test_a_name_that_does_not_resolve_is_critical(define, make_tools):
    async def nobody(host):
        return []

    outcome = await prepare(define("udp", udp="nowhere.example:53"), make_tools(lookup=nobody))()
    assert outcome == Outcome("critical", "dial udp: lookup nowhere.example: no such host")
