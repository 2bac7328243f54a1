"""Bad peers of a sidecar's public listener: no certificate, a wrong one, no TLS, floods, silence.

They are refused and counted, reach no application, and others are not harmed. The sidecar runs in this process, with a
trust domain of the test's own: no agent would sign such leafs.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived
from meshtest.httpapp import http_app
from meshtest.meshcerts import TrustDomain
from meshtest.ownsidecars import PATIENCE_S, Leaf, calling, running, serving
from meshtest.sidecars import Echo, free_port

from meshagent.connect import certs
from meshagent.connect.proxy.http.inbound import HttpInboundListener
from meshagent.connect.proxy.telemetry.record import Record

TD = TrustDomain()
STRANGER = TrustDomain()


def with_usage(usage: x509.ObjectIdentifier) -> Leaf:
    """A leaf of web that is for something else."""
    chain, key = TD.leaf("web")
    leaf = x509.load_pem_x509_certificate(chain.encode())
    authority = certs.load_certificate(TD.root)
    builder = (
        x509.CertificateBuilder()
        .subject_name(leaf.subject)
        .issuer_name(authority.subject)
        .public_key(leaf.public_key())
        .serial_number(77)
        .not_valid_before(TD.now - timedelta(minutes=1))
        .not_valid_after(TD.now + timedelta(hours=1))
        .add_extension(leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value, critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    )
    return builder.sign(certs.load_key(TD.key), hashes.SHA256()).public_bytes(Encoding.PEM).decode(), key


WRONG: dict[str, Callable[[], Leaf | None]] = {
    "no certificate": lambda: None,
    "another root": lambda: STRANGER.leaf("web"),
    "expired": lambda: TD.leaf("web", ago=timedelta(hours=2)),
    "another trust domain": lambda: TD.leaf("web", uri="spiffe://other.consul/ns/default/dc/dc1/svc/web"),
    "no service": lambda: TD.leaf("web", uri=f"spiffe://{TD.name}/agent/server/dc/dc1"),
    "another use": lambda: with_usage(ExtendedKeyUsageOID.SERVER_AUTH),
}


@pytest.fixture(autouse=True)
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESHAGENT_PROXY_DIR", str(tmp_path / "p"))


@pytest.mark.parametrize("protocol", ["tcp", "http"])
async def test_who_cannot_prove_it_reaches_nobody(tmp_path: Path, protocol: str) -> None:
    app = Echo()
    async with running(TD, tmp_path, serving(TD, protocol, app.port)) as one:
        tallies, observer = one.sidecar.tallies, one.sidecar.telemetry.observer
        told: list[Record] = []
        observer.access_log = told.append
        observer.changed()
        for name, leaf in WRONG.items():
            before = tallies.failed_handshakes + tallies.denied
            assert await one.ask(leaf()) == b"", name
            async with asyncio.timeout(PATIENCE_S):
                while tallies.failed_handshakes + tallies.denied == before:
                    await asyncio.sleep(0.01)
        assert (app.accepted, tallies.accepted) == (0, 0)
        assert len(told) == len(WRONG)
        assert all(record.peer_address.startswith("127.0.0.1:") and record.detail for record in told)
        if protocol == "tcp":
            assert await one.ask(TD.leaf("web")) == b"hello"
    app.close()


async def test_what_is_no_tls_or_no_whole_handshake_is_ended(tmp_path: Path) -> None:
    app = Echo()
    async with running(TD, tmp_path, serving(TD, "tcp", app.port, handshake_timeout_ms=500)) as one:
        for data in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00" + b"\x01" * 512, b"\x16\x03\x01", b""):
            reader, writer = await asyncio.open_connection("127.0.0.1", one.port)
            writer.write(data)
            with contextlib.suppress(ConnectionError):
                await asyncio.wait_for(reader.read(), PATIENCE_S)  # half a hello: the handshake's timeout
            writer.transport.abort()
        assert app.accepted == 0
        assert await one.ask(TD.leaf("web")) == b"hello"
    app.close()


@pytest.mark.parametrize("protocol", ["tcp", "http"])
async def test_an_instance_that_is_another_service_is_sent_nothing(tmp_path: Path, protocol: str) -> None:
    app, port = Echo(), free_port()
    chain, key = TD.leaf("evil")
    evil = msgspec.structs.replace(serving(TD, protocol, app.port), leaf_chain=chain, leaf_key=key)
    async with (
        running(TD, tmp_path, evil) as one,
        running(TD, tmp_path, calling(TD, protocol, port, one.port)) as web,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /secret HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n")
        got = b""
        with contextlib.suppress(ConnectionError):
            got = await asyncio.wait_for(reader.read(), PATIENCE_S)
        writer.transport.abort()
        assert b"secret" not in got
        assert got == b"" if protocol == "tcp" else got.startswith(b"HTTP/1.1 503 ")
        assert web.sidecar.tallies.failed_handshakes >= 1
        assert web.sidecar.tallies.dialled == 0
    app.close()


class H2Client:
    """The h2 library over TLS."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.h2.initiate_connection()

    def head(self, path: str = "/") -> int:
        stream = self.h2.get_next_available_stream_id()
        fields = [(":method", "GET"), (":path", path), (":authority", "api"), (":scheme", "https")]
        self.h2.send_headers(stream, fields, end_stream=True)
        return stream

    def flush(self) -> None:
        self.writer.write(self.h2.data_to_send())

    async def get(self, path: str) -> tuple[str, bytes]:
        """Status and body."""
        stream, status, body = self.head(path), "", b""
        self.flush()
        while True:
            data = await asyncio.wait_for(self.reader.read(65536), PATIENCE_S)
            assert data, "the connection has ended"
            for event in self.h2.receive_data(data):
                if isinstance(event, ResponseReceived) and event.stream_id == stream:
                    status = dict(event.headers or [])[":status"]
                elif isinstance(event, DataReceived) and event.stream_id == stream:
                    body += event.data or b""
                    if event.stream_ended:
                        return status, body
            self.flush()

    async def ended(self) -> None:
        """Wait until the peer has ended the connection."""
        with contextlib.suppress(ConnectionError):
            while await asyncio.wait_for(self.reader.read(65536), PATIENCE_S):
                pass
        self.writer.transport.abort()


def rapid_reset(client: H2Client) -> None:
    for _ in range(6000):
        client.h2.reset_stream(client.head("/"))
    client.flush()


def continuations(client: H2Client) -> None:
    client.flush()
    client.writer.write(b"\x00\x00\x01\x01\x01\x00\x00\x00\x01\x82" + b"\x00\x00\x00\x09\x00\x00\x00\x00\x01" * 5000)


async def test_floods_end_their_connection_and_no_other(tmp_path: Path) -> None:
    with http_app("api") as app:
        async with running(TD, tmp_path, serving(TD, "http", app.port)) as one:  # without ALPN the first bytes tell
            good = H2Client(*await one.connect(TD.leaf("web")))
            assert (await good.get("/before"))[0] == "200"
            for flood in (rapid_reset, continuations):
                bad = H2Client(*await one.connect(TD.leaf("evil")))
                flood(bad)
                await bad.ended()
                assert (await good.get("/between"))[0] == "200"
            inbound = one.sidecar.inbound
            assert isinstance(inbound, HttpInboundListener)
            assert sum(inbound.manager.refused.values()) >= 2
            async with asyncio.timeout(PATIENCE_S):
                while len(inbound.live) > 1:
                    await asyncio.sleep(0.01)
            good.writer.transport.abort()
