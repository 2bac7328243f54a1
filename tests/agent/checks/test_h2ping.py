import h2.config
import h2.connection
import pytest

from meshagent.agent.checks.h2ping import prepare
from meshagent.agent.checks.probe import Outcome, ProbeFailed
from meshagent.agent.checks.tls import AgentTls


async def h2_server(reader, writer):
    """Speaks HTTP/2; the library answers pings by itself."""
    conn = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    conn.initiate_connection()
    writer.write(conn.data_to_send())
    while data := await reader.read(65536):
        conn.receive_data(data)
        writer.write(conn.data_to_send())
        await writer.drain()


async def silent(reader, writer):
    await reader.read()


GOOD = Outcome("passing", "HTTP2 ping was successful")


async def test_without_tls(define, tools, serve):
    """K17"""
    target = f"127.0.0.1:{await serve(h2_server)}"
    assert await prepare(define("h2ping", h2ping=target, h2ping_use_tls=False), tools)() == GOOD


async def test_over_tls_by_default(define, make_tools, serve, server_tls, certificates):
    """K17"""
    target = f"127.0.0.1:{await serve(h2_server, ssl=server_tls(alpn=['h2']))}"
    tools = make_tools(agent_tls=AgentTls(ca_file=certificates.ca))
    assert await prepare(define("h2ping", h2ping=target), tools)() == GOOD
    named = define("h2ping", h2ping=target, tls_server_name="web.example")
    assert await prepare(named, tools)() == GOOD
    stranger = await prepare(define("h2ping", h2ping=target), make_tools())()
    assert stranger == Outcome(
        "critical",
        f"Failed to dial to {target}: tls: failed to verify certificate: x509: certificate signed by unknown authority",
    )


async def test_refused(define, tools, refused_port):
    target = f"127.0.0.1:{refused_port}"
    outcome = await prepare(define("h2ping", h2ping=target, h2ping_use_tls=False), tools)()
    assert outcome == Outcome("critical", f"Failed to dial to {target}: dial tcp {target}: connect: connection refused")


async def test_no_answer_in_time(define, tools, serve):
    target = f"127.0.0.1:{await serve(silent)}"
    outcome = await prepare(define("h2ping", h2ping=target, h2ping_use_tls=False, timeout=0.05), tools)()
    assert outcome == Outcome("critical", "HTTP2 ping failed: context deadline exceeded")


@pytest.mark.parametrize(
    ("says", "why"),
    [
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            "http2: frame too large, note that the frame header looked like an HTTP/1.1 header",
        ),
        (b"", "EOF"),
        (b"\0" * 100, "http2: "),
        (b"\xff\xff\xff\0\0\0\0\0\1" + b"\0" * 300_000, "http2: more than 262144 bytes and no answer"),
    ],
)
async def test_servers_that_speak_something_else(define, tools, serve, caplog, says, why):
    async def talk(reader, writer):
        await reader.read(10)
        writer.write(says)

    target = f"127.0.0.1:{await serve(talk)}"
    outcome = await prepare(define("h2ping", h2ping=target, h2ping_use_tls=False), tools)()
    assert outcome.status == "critical"
    assert outcome.output.startswith(f"HTTP2 ping failed: {why}")
    assert caplog.records == []


def test_what_is_no_address_is_refused_when_prepared(define, tools):
    with pytest.raises(ProbeFailed, match="missing port"):
        prepare(define("h2ping", h2ping="nowhere"), tools)
