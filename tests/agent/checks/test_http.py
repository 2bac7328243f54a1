import asyncio
import logging

import pytest
from aiohttp import web

from meshagent.agent.checks.http import prepare
from meshagent.agent.checks.probe import Outcome, ProbeFailed
from meshagent.agent.checks.tls import AgentTls


@pytest.fixture
async def site():
    """An aiohttp server with some manners, bad ones included; gives its base URL and what it was asked."""
    asked = []

    async def answer(request):
        asked.append((request.method, request.path, dict(request.headers), await request.text()))
        status = int(request.match_info["status"])
        return web.Response(status=status, text=request.query.get("text", "hi"))

    async def moved(request):
        left = int(request.match_info["left"])
        return web.Response(status=302, headers={"Location": f"/moved/{left - 1}" if left else "/status/200"})

    async def loop(request):
        return web.Response(status=302, headers={"Location": "/loop"})

    async def nowhere(request):
        return web.Response(status=302, headers={"Location": "ftp://x/"})

    app = web.Application()
    app.router.add_route("*", "/status/{status}", answer)
    app.router.add_get("/moved/{left}", moved)
    app.router.add_get("/loop", loop)
    app.router.add_get("/nowhere", nowhere)
    runner = web.AppRunner(app)
    await runner.setup()
    server = web.TCPSite(runner, "127.0.0.1", 0)
    await server.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", asked
    await runner.cleanup()


@pytest.fixture
def probe(define, tools, caplog):
    """Run an HTTP check once; nothing may be logged."""

    async def run(url, **fields):
        outcome = await prepare(define("http", http=url, **fields), tools)()
        assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []
        return outcome

    return run


@pytest.mark.parametrize(
    ("status", "expected"),
    [(200, "passing"), (201, "passing"), (299, "passing"), (429, "warning"), (404, "critical"), (500, "critical")],
)
async def test_the_status_decides(site, probe, status, expected):
    """K11"""
    url = f"{site[0]}/status/{status}"
    outcome = await probe(url)
    assert outcome.status == expected
    assert outcome.output.startswith(f"HTTP GET {url}: {status}")
    assert outcome.output.endswith(" Output: hi")


async def test_the_request_is_consuls(site, probe):
    """K11"""
    base, asked = site
    outcome = await probe(f"{base}/status/200", method="PUT", header={"X-A": ["1"]}, body="hello")
    assert outcome == Outcome("passing", f"HTTP PUT {base}/status/200: 200 OK Output: hi")
    method, path, headers, body = asked[0]
    assert (method, path, body) == ("PUT", "/status/200", "hello")
    assert headers["User-Agent"] == "Consul Health Check"
    assert headers["Accept"] == "text/plain, text/*, */*"
    assert headers["Connection"] == "close"
    assert headers["X-A"] == "1"


async def test_output_keeps_the_tail(site, probe):
    """K5"""
    outcome = await probe(f"{site[0]}/status/200?text=0123456789", output_max_size=4)
    assert outcome.output.endswith("200 OK Output: 6789")


async def test_redirects_are_followed_and_the_first_url_is_named(site, probe):
    outcome = await probe(f"{site[0]}/moved/8")
    assert outcome == Outcome("passing", f"HTTP GET {site[0]}/moved/8: 200 OK Output: hi")


async def test_redirects_can_be_disabled(site, probe):
    outcome = await probe(f"{site[0]}/moved/0", disable_redirects=True)
    assert outcome.status == "critical"
    assert ": 302 Found Output:" in outcome.output


async def test_endless_redirects_end(site, probe):
    base, _ = site
    assert await probe(f"{base}/loop") == Outcome("critical", f'Get "{base}/loop": stopped after 10 redirects')
    assert (await probe(f"{base}/moved/8")).status == "passing"  # ten requests
    assert (await probe(f"{base}/moved/9")).status == "critical"  # eleven


async def test_a_redirect_to_what_we_do_not_speak(site, probe):
    outcome = await probe(f"{site[0]}/nowhere")
    assert outcome == Outcome("critical", 'Get "ftp://x/": unsupported protocol scheme "ftp"')


async def test_refused_is_worded_as_by_consul(probe, refused_port, golden_output):
    outcome = await probe(f"http://127.0.0.1:{refused_port}/")
    assert outcome == Outcome("critical", golden_output("rno").replace("127.0.0.1:1", f"127.0.0.1:{refused_port}"))


async def test_an_unknown_host(define, make_tools):
    async def nobody(host):
        return []

    outcome = await prepare(define("http", http="http://nowhere.example/x"), make_tools(lookup=nobody))()
    assert outcome == Outcome(
        "critical", 'Get "http://nowhere.example/x": dial tcp: lookup nowhere.example: no such host'
    )


async def test_a_server_that_says_nothing(probe, serve):
    async def silent(reader, writer):
        await reader.read()

    port = await serve(silent)
    outcome = await probe(f"http://127.0.0.1:{port}/", timeout=0.05)
    assert outcome == Outcome(
        "critical",
        f'Get "http://127.0.0.1:{port}/": context deadline exceeded (Client.Timeout exceeded while awaiting headers)',
    )


async def test_a_body_that_does_not_end_keeps_its_status(probe, serve):
    """As Consul: the headers are there, the rest is logged and forgotten."""

    async def slow(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun")
        await reader.read()

    port = await serve(slow)
    outcome = await probe(f"http://127.0.0.1:{port}/", timeout=0.05)
    assert outcome == Outcome("passing", f"HTTP GET http://127.0.0.1:{port}/: 200 OK Output: begun")


async def test_an_endless_body_is_cut(probe, serve):
    async def endless(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    port = await serve(endless)
    outcome = await probe(f"http://127.0.0.1:{port}/", output_max_size=10, timeout=5.0)
    assert outcome.output == f"HTTP GET http://127.0.0.1:{port}/: 200 OK Output: xxxxxxxxxx"


@pytest.mark.parametrize(
    ("says", "message"),
    [
        (b"", "EOF"),
        (b"HTTP/1.1 20", "unexpected EOF"),
        (b"\0\xff garbage\r\n\r\n", "net/http: HTTP/1.x transport connection broken: malformed HTTP response"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "net/http: HTTP/1.x transport connection broken: malformed"),
        (b"X" * 400_000, "net/http: HTTP/1.x transport connection broken: malformed HTTP response"),
    ],
)
async def test_garbage(probe, serve, says, message):
    async def talk(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(says)

    port = await serve(talk)
    outcome = await probe(f"http://127.0.0.1:{port}/")
    assert outcome.status == "critical"
    assert outcome.output.startswith(f'Get "http://127.0.0.1:{port}/": {message}')


async def test_a_reset_connection(probe, serve):
    async def reset(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        import socket
        import struct

        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    port = await serve(reset)
    outcome = await probe(f"http://127.0.0.1:{port}/")
    assert outcome.output == f'Get "http://127.0.0.1:{port}/": read: connection reset by peer'


HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def hello(reader, writer):
    await reader.readuntil(b"\r\n\r\n")
    writer.write(HELLO)
    await writer.drain()


async def test_tls(define, make_tools, serve, server_tls, certificates):
    """K11, K20"""
    port = await serve(hello, ssl=server_tls())
    url = f"https://127.0.0.1:{port}/"
    passing = Outcome("passing", f"HTTP GET {url}: 200 OK Output: ok")
    trusting = make_tools(agent_tls=AgentTls(ca_file=certificates.ca))
    assert await prepare(define("http", http=url), trusting)() == passing
    assert await prepare(define("http", http=url, tls_server_name="web.example"), trusting)() == passing
    assert await prepare(define("http", http=url, tls_skip_verify=True), make_tools())() == passing
    stranger = await prepare(define("http", http=url), make_tools())()
    assert stranger == Outcome(
        "critical",
        f'Get "{url}": tls: failed to verify certificate: x509: certificate signed by unknown authority',
    )
    other = await prepare(define("http", http=url, tls_server_name="db.example"), trusting)()
    assert other == Outcome(
        "critical", f'Get "{url}": tls: failed to verify certificate: x509: certificate is not valid for db.example'
    )


async def test_plain_http_behind_an_https_url(probe, serve):
    async def plain(reader, writer):
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    port = await serve(plain)
    outcome = await probe(f"https://127.0.0.1:{port}/")
    assert outcome.output == f'Get "https://127.0.0.1:{port}/": http: server gave HTTP response to HTTPS client'


async def test_a_cancelled_probe_leaves_nothing_open(define, tools, serve):
    accepted, gone = asyncio.Event(), asyncio.Event()

    async def silent(reader, writer):
        accepted.set()
        while await reader.read(100):
            pass
        gone.set()

    port = await serve(silent)
    task = asyncio.get_running_loop().create_task(prepare(define("http", http=f"http://127.0.0.1:{port}/"), tools)())
    await accepted.wait()
    task.cancel()
    await asyncio.wait_for(gone.wait(), 5)
    assert task.cancelled()


async def test_what_can_never_be_sent_is_refused_when_prepared(define, tools):
    with pytest.raises(ProbeFailed, match="unsupported protocol scheme"):
        prepare(define("http", http="gopher://x"), tools)
