"""Bad peers of a sidecar's public listener: no certificate, a wrong one, no TLS, floods, silence.

They are refused and counted, reach no application, and others are not harmed. The sidecar runs in this process, with a
trust domain of the test's own: no agent would sign such leafs.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
from collections.abc import AsyncIterator, Callable
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
from meshtest.sidecars import Echo, free_port

from meshagent.catalog.entries.graph import Lookup
from meshagent.catalog.entries.table import parse
from meshagent.catalog.model import Upstream
from meshagent.clock import SystemClock
from meshagent.connect import certs
from meshagent.connect.chain import compile_chain
from meshagent.connect.proxy.http.inbound import HttpInboundListener
from meshagent.connect.proxy.server import Sidecar
from meshagent.connect.proxy.telemetry.record import Record
from meshagent.connect.snapshot import Cluster, Endpoint, Inbound, ProxySnapshot, outbound_of

TD = TrustDomain()
STRANGER = TrustDomain()
PATIENCE_S = 30.0
Leaf = tuple[str, str]


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


class World:
    """A sidecar of api, its application, and callers."""

    def __init__(self, folder: Path, protocol: str, application: int) -> None:
        self.folder = folder
        self.sidecar = Sidecar(SystemClock(), random.Random(1))
        self.port = free_port()
        inbound = Inbound(
            "127.0.0.1", self.port, "127.0.0.1", application, protocol=protocol, handshake_timeout_ms=500
        )  # fmt: skip
        self.snapshot = TD.snapshot("api", inbound=inbound)

    def context(self, leaf: Leaf | None, *alpn: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if alpn:
            context.set_alpn_protocols(list(alpn))
        if leaf is not None:
            path = self.folder / "leaf.pem"
            path.write_text("".join(leaf))
            path.chmod(0o600)
            context.load_cert_chain(path)
        return context

    async def connect(self, leaf: Leaf | None, *alpn: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=self.context(leaf, *alpn))

    async def ask(self, leaf: Leaf | None, data: bytes = b"hello") -> bytes:
        """What comes back for some bytes; b"" when nobody is there for him."""
        with contextlib.suppress(OSError, ssl.SSLError):
            reader, writer = await self.connect(leaf)
            try:
                writer.write(data)
                return await asyncio.wait_for(reader.read(len(data)), PATIENCE_S)
            finally:
                writer.transport.abort()
        return b""


@contextlib.asynccontextmanager
async def world(folder: Path, protocol: str, application: int) -> AsyncIterator[World]:
    made = World(folder, protocol, application)
    await made.sidecar.apply(made.snapshot)
    try:
        yield made
    finally:
        await made.sidecar.stop(0.0)


@pytest.fixture(autouse=True)
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESHAGENT_PROXY_DIR", str(tmp_path / "p"))


@pytest.mark.parametrize("protocol", ["tcp", "http"])
async def test_who_cannot_prove_it_reaches_nobody(tmp_path: Path, protocol: str) -> None:
    app = Echo()
    async with world(tmp_path, protocol, app.port) as one:
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
    async with world(tmp_path, "tcp", app.port) as one:
        for data in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00" + b"\x01" * 512, b"\x16\x03\x01", b""):
            reader, writer = await asyncio.open_connection("127.0.0.1", one.port)
            writer.write(data)
            with contextlib.suppress(ConnectionError):
                await asyncio.wait_for(reader.read(), PATIENCE_S)  # half a hello: the handshake's timeout
            writer.transport.abort()
        assert app.accepted == 0
        assert await one.ask(TD.leaf("web")) == b"hello"
    app.close()


def calling(protocol: str, listener: int, instance: int) -> ProxySnapshot:
    """Of web, whose upstream api has one instance."""
    defaults = parse({"Kind": "service-defaults", "Name": "api", "Protocol": protocol})
    entries = {(defaults.kind, defaults.name): defaults}
    lookup = Lookup(lambda kind, name: entries.get((kind, name)), lambda _: [])
    chain = compile_chain(lookup, "api", "dc1", TD.name)
    upstream = outbound_of(Upstream(destination_name="api", local_bind_port=listener), chain)
    rows = {
        key: Cluster(target, (TD.identity("api"),), (Endpoint("api-1", "n", "127.0.0.1", instance),))
        for key, target in chain.targets.items()
    }
    return TD.snapshot("web", outbound=(upstream,), clusters=rows)


@pytest.mark.parametrize("protocol", ["tcp", "http"])
async def test_an_instance_that_is_another_service_is_sent_nothing(tmp_path: Path, protocol: str) -> None:
    app, port = Echo(), free_port()
    async with world(tmp_path, protocol, app.port) as one:
        web = Sidecar(SystemClock(), random.Random(2))
        chain, key = TD.leaf("evil")
        await one.sidecar.apply(msgspec.structs.replace(one.snapshot, leaf_chain=chain, leaf_key=key))
        await web.apply(calling(protocol, port, one.port))
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /secret HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n")
            got = b""
            with contextlib.suppress(ConnectionError):
                got = await asyncio.wait_for(reader.read(), PATIENCE_S)
            writer.transport.abort()
            assert b"secret" not in got
            assert got == b"" if protocol == "tcp" else got.startswith(b"HTTP/1.1 503 ")
            assert web.tallies.failed_handshakes >= 1
            assert web.tallies.dialled == 0
        finally:
            await web.stop(0.0)
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
        async with world(tmp_path, "http", app.port) as one:  # whose peers may begin with the preface of HTTP/2
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
