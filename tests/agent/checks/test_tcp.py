import asyncio

import pytest

from meshagent.agent.checks.probe import Outcome, ProbeFailed
from meshagent.agent.checks.tcp import prepare
from meshagent.agent.checks.tls import AgentTls


async def read_until_closed(reader, writer):
    await reader.read()


async def test_a_connection_is_enough(define, tools, serve, golden_output):
    """K12, golden check `rt`."""
    port = await serve(read_until_closed)
    outcome = await prepare(define("tcp", tcp=f"127.0.0.1:{port}"), tools)()
    assert outcome == Outcome("passing", golden_output("rt").replace("<port:http>", str(port)))


async def test_refused(define, tools, refused_port, golden_output):
    """K12, golden check `rtno`."""
    outcome = await prepare(define("tcp", tcp=f"127.0.0.1:{refused_port}"), tools)()
    assert outcome == Outcome("critical", golden_output("rtno").replace(":1:", f":{refused_port}:"))


async def test_a_name(define, tools, serve):
    port = await serve(read_until_closed)
    outcome = await prepare(define("tcp", tcp=f"localhost:{port}"), tools)()
    assert outcome == Outcome("passing", f"TCP connect localhost:{port}: Success")


async def test_nothing_within_the_time(define, make_tools):
    async def never(host):
        await asyncio.Event().wait()

    outcome = await prepare(define("tcp", tcp="web:80", timeout=0.02), make_tools(lookup=never))()
    assert outcome == Outcome("critical", "dial tcp web:80: i/o timeout")


async def test_with_tls_the_handshake_counts(define, make_tools, serve, server_tls, certificates):
    tls_port = await serve(read_until_closed, ssl=server_tls())
    plain_port = await serve(read_until_closed)
    tools = make_tools(agent_tls=AgentTls(ca_file=certificates.ca))
    good = await prepare(define("tcp", tcp=f"127.0.0.1:{tls_port}", tcp_use_tls=True), tools)()
    assert good == Outcome("passing", f"TCP connect 127.0.0.1:{tls_port}: Success")
    skipped = define("tcp", tcp=f"127.0.0.1:{tls_port}", tcp_use_tls=True, tls_skip_verify=True)
    assert (await prepare(skipped, make_tools())()).status == "passing"
    stranger = await prepare(define("tcp", tcp=f"127.0.0.1:{tls_port}", tcp_use_tls=True), make_tools())()
    assert stranger == Outcome(
        "critical", "tls: failed to verify certificate: x509: certificate signed by unknown authority"
    )
    silent = define("tcp", tcp=f"127.0.0.1:{plain_port}", tcp_use_tls=True, timeout=0.05)
    assert (await prepare(silent, tools)()).status == "critical"


async def test_the_connection_is_closed_again(define, tools, serve):
    gone = asyncio.Event()

    async def wait(reader, writer):
        assert await reader.read() == b""
        gone.set()

    port = await serve(wait)
    await prepare(define("tcp", tcp=f"127.0.0.1:{port}"), tools)()
    await asyncio.wait_for(gone.wait(), 5)


def test_what_is_no_address_is_refused_when_prepared(define, tools):
    with pytest.raises(ProbeFailed, match="missing port in address"):
        prepare(define("tcp", tcp="nowhere"), tools)
