import asyncio
import ssl

import grpc
import h2.config
import h2.connection
import h2.events
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from meshagent.agent.checks.grpc import prepare
from meshagent.agent.checks.probe import Outcome, ProbeFailed
from meshagent.agent.checks.tls import AgentTls


@pytest.fixture(scope="module")
def grpc_server(certificates):
    """A real gRPC server (threads, so that it works beside any loop) with health; gives (plain port, TLS port)."""
    from concurrent.futures import ThreadPoolExecutor

    server = grpc.server(ThreadPoolExecutor(4))
    servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    status = health_pb2.HealthCheckResponse
    servicer.set("", status.SERVING)
    servicer.set("api.v1/x", status.SERVING)
    servicer.set("down", status.NOT_SERVING)
    with open(certificates.key, "rb") as key, open(certificates.cert, "rb") as cert:
        credentials = grpc.ssl_server_credentials([(key.read(), cert.read())])
    ports = server.add_insecure_port("127.0.0.1:0"), server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    yield ports
    server.stop(0).wait()


@pytest.fixture(scope="module")
def bare_server():
    """A gRPC server without the health service."""
    from concurrent.futures import ThreadPoolExecutor

    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port
    server.stop(0).wait()


@pytest.fixture
def run(define, tools):
    async def once(target, **fields):
        return await prepare(define("grpc", grpc=target, **fields), tools)()

    return once


async def test_a_serving_server(run, grpc_server):
    """K15, against grpcio's own server."""
    target = f"127.0.0.1:{grpc_server[0]}"
    assert await run(target) == Outcome("passing", f"gRPC check {target}: success")
    assert await run(f"localhost:{grpc_server[0]}/api.v1/x") == Outcome(
        "passing", f"gRPC check localhost:{grpc_server[0]}/api.v1/x: success"
    )


async def test_a_service_that_does_not_serve(run, grpc_server):
    target = f"127.0.0.1:{grpc_server[0]}/down"
    assert await run(target) == Outcome("critical", f"gRPC {target} serving status: NOT_SERVING")


async def test_an_unknown_service(run, grpc_server):
    outcome = await run(f"127.0.0.1:{grpc_server[0]}/nope")
    assert outcome.status == "critical"
    assert outcome.output.startswith("rpc error: code = NotFound desc = ")


async def test_a_server_without_health(run, bare_server, golden_output):
    """Consul's golden check `g` is of its own server; only the description is the server's."""
    outcome = await run(f"127.0.0.1:{bare_server}")
    assert outcome.status == "critical"
    assert outcome.output.partition(" desc = ")[0] == golden_output("g").partition(" desc = ")[0]


async def test_tls(define, make_tools, grpc_server, certificates):
    target = f"127.0.0.1:{grpc_server[1]}"
    trusting = make_tools(agent_tls=AgentTls(ca_file=certificates.ca))
    good = await prepare(define("grpc", grpc=target, grpc_use_tls=True), trusting)()
    assert good == Outcome("passing", f"gRPC check {target}: success")
    skipped = define("grpc", grpc=target, grpc_use_tls=True, tls_skip_verify=True)
    assert (await prepare(skipped, make_tools())()).status == "passing"
    stranger = await prepare(define("grpc", grpc=target, grpc_use_tls=True), make_tools())()
    assert stranger == Outcome(
        "critical",
        'rpc error: code = Unavailable desc = connection error: desc = "transport: authentication handshake failed: '
        'tls: failed to verify certificate: x509: certificate signed by unknown authority"',
    )


async def test_refused(run, refused_port):
    assert await run(f"127.0.0.1:{refused_port}") == Outcome(
        "critical",
        'rpc error: code = Unavailable desc = connection error: desc = "transport: Error while dialing: '
        f'dial tcp 127.0.0.1:{refused_port}: connect: connection refused"',
    )


async def test_no_answer_in_time(run, serve):
    async def silent(reader, writer):
        await reader.read()

    outcome = await run(f"127.0.0.1:{await serve(silent)}", timeout=0.05)
    assert outcome == Outcome("critical", "rpc error: code = DeadlineExceeded desc = context deadline exceeded")


@pytest.mark.parametrize("says", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0" * 200, b"", b"\xff" * 40])
async def test_servers_that_speak_something_else(run, serve, caplog, says):
    async def talk(reader, writer):
        await reader.read(10)
        writer.write(says)

    outcome = await run(f"127.0.0.1:{await serve(talk)}")
    assert outcome.status == "critical"
    assert outcome.output.startswith("rpc error: code = Unavailable desc = error reading from server: ")
    assert caplog.records == []


def h2_server(answer):
    """A handler that speaks HTTP/2 and answers the first request with `answer(connection, stream_id)`."""

    async def handle(reader, writer):
        conn = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        conn.initiate_connection()
        writer.write(conn.data_to_send())
        while data := await reader.read(65536):
            for event in conn.receive_data(data):
                if isinstance(event, h2.events.StreamEnded):
                    answer(conn, event.stream_id)
            writer.write(conn.data_to_send())
            await writer.drain()

    return handle


GRPC = [(":status", "200"), ("content-type", "application/grpc")]


def reply(headers, body=None, trailers=None):
    def answer(conn, stream):
        conn.send_headers(stream, headers, end_stream=body is None and trailers is None)
        if body is not None:
            for at in range(0, len(body), 16384):
                conn.send_data(stream, body[at : at + 16384])
            if trailers is None:
                conn.end_stream(stream)
        if trailers is not None:
            conn.send_headers(stream, trailers, end_stream=True)

    return answer


def reset(conn, stream):
    conn.reset_stream(stream, 7)


def goaway(conn, stream):
    conn.close_connection(11)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (reply([(":status", "503")]), "code = Unavailable desc = unexpected HTTP status code received from"),
        (reply([(":status", "200"), ("content-type", "text/html")]), "code = Unknown desc = unexpected HTTP status"),
        (reply(GRPC, b"\0\0\0\0\2\x08\1"), "code = Internal desc = server closed the stream without sending trailers"),
        (reply([*GRPC, ("grpc-status", "7"), ("grpc-message", "no%20way")]), "code = PermissionDenied desc = no way"),
        (reply(GRPC, b"junk", [("grpc-status", "0")]), "code = Internal desc = grpc: failed to unmarshal"),
        (reply(GRPC, b"", [("grpc-status", "99")]), "code = Code(99) desc = "),
        (reply(GRPC, b"x" * 65000 + b"y" * 535, [("grpc-status", "0")]), "code = Internal desc = grpc: failed to"),
        (reset, "code = Unavailable desc = error reading from server: stream terminated by RST_STREAM with"),
        (goaway, "code = Unavailable desc = error reading from server: http2: server sent GOAWAY"),
    ],
)  # fmt: skip
async def test_answers_of_all_kinds(run, serve, answer, message):
    outcome = await run(f"127.0.0.1:{await serve(h2_server(answer))}")
    assert outcome.status == "critical"
    assert outcome.output.startswith(f"rpc error: {message}")


async def test_a_serving_answer_from_a_plain_h2_server(run, serve):
    port = await serve(h2_server(reply(GRPC, b"\0\0\0\0\2\x08\1", [("grpc-status", "0")])))
    assert (await run(f"127.0.0.1:{port}")).status == "passing"


async def test_alpn_is_offered(define, make_tools, serve, server_tls, certificates):
    chosen = asyncio.get_running_loop().create_future()

    async def look(reader, writer):
        ssl_object = writer.get_extra_info("ssl_object")
        chosen.set_result(ssl_object.selected_alpn_protocol())

    context = server_tls(alpn=["h2"])
    assert isinstance(context, ssl.SSLContext)
    target = f"127.0.0.1:{await serve(look, ssl=context)}"
    await prepare(define("grpc", grpc=target, grpc_use_tls=True, tls_skip_verify=True), make_tools())()
    assert await asyncio.wait_for(chosen, 5) == "h2"


def test_what_is_no_address_is_refused_when_prepared(define, tools):
    with pytest.raises(ProbeFailed) as failed:
        prepare(define("grpc", grpc="nowhere"), tools)
    assert str(failed.value) == "rpc error: code = Unavailable desc = address nowhere: missing port in address"
