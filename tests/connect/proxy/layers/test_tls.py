"""TLS in memory: two ends joined by a fake wire (RFC 8446; TLS of the public listener in leaf.md)."""

from __future__ import annotations

import random
import ssl
from datetime import timedelta
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given, settings
from meshtest.meshcerts import TrustDomain

from meshagent.connect.proxy.contexts import Contexts
from meshagent.connect.proxy.layers import tls
from meshagent.connect.proxy.layers.openssl import TlsContext
from meshagent.connect.proxy.layers.tls import Session, Tls
from meshagent.errors import RemoteProtocolError

TD = TrustDomain()
WEB, API = Contexts(TD.snapshot("web")), Contexts(TD.snapshot("api"))


class Stdlib:
    """A client of Python's own `ssl`, in the shape of ours."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._in, self._out, server_hostname="api.default")
        self.ready = False

    def start(self) -> None:
        try:
            self._object.do_handshake()
            self.ready = True
        except ssl.SSLWantReadError:
            pass

    def feed(self, data: bytes) -> list[bytes]:
        self._in.write(data)
        if not self.ready:
            self.start()
        chunks: list[bytes] = []
        try:
            while self.ready and (chunk := self._object.read(70_000)):
                chunks.append(chunk)
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            pass
        return chunks

    def write(self, data: bytes) -> None:
        self._object.write(data)

    def outgoing(self) -> bytes:
        return self._out.read()


class Wire:
    """A client and a server, and what each has read."""

    def __init__(self, client: TlsContext | ssl.SSLContext = WEB.client, session: Session | None = None) -> None:
        self.client: Any = (
            Stdlib(client)
            if isinstance(client, ssl.SSLContext)
            else Tls(client, server_side=False, server_name="api.default", session=session)
        )
        self.server = Tls(API.server, server_side=True)
        self.read: dict[str, bytes] = {"client": b"", "server": b""}
        self.client.start()
        self.server.start()

    def run(self) -> None:
        moved = True
        while moved:
            moved = False
            for name, one, other in (("server", self.client, self.server), ("client", self.server, self.client)):
                data = one.outgoing()
                if data:
                    moved = True
                    self.read[name] += b"".join(other.feed(data))


def shaken(**more: object) -> Wire:
    wire = Wire(**more)  # type: ignore[arg-type]
    wire.run()
    return wire


def test_both_ends_prove_who_they_are() -> None:
    wire = shaken()
    assert wire.client.ready
    assert wire.server.ready
    assert wire.server.identity == TD.identity("web")
    assert wire.client.identity == TD.identity("api")
    assert wire.server.valid_until > TD.now.timestamp()


@given(st.lists(st.binary(max_size=70_000), max_size=5), st.lists(st.binary(max_size=70_000), max_size=5))
@settings(max_examples=20)
def test_bytes_arrive_whole_and_in_order_both_ways(there: list[bytes], back: list[bytes]) -> None:
    wire = shaken()
    for data in there:
        wire.client.write(data)
    for data in back:
        wire.server.write(data)
    wire.run()
    assert wire.read == {"server": b"".join(there), "client": b"".join(back)}


def test_half_close_is_kept() -> None:
    wire = shaken()
    wire.client.write(b"question")
    wire.client.close_write()
    wire.run()
    assert (wire.read["server"], wire.server.eof, wire.client.eof) == (b"question", True, False)
    wire.server.write(b"answer")
    wire.run()
    wire.server.write(b", and more")
    wire.server.close_write()
    wire.run()
    assert (wire.read["client"], wire.client.eof) == (b"answer, and more", True)
    wire.client.close_write()


def test_the_next_connection_resumes() -> None:
    first = shaken()
    first.server.write(b"x")
    first.run()
    session = first.client.session
    assert session is not None
    second, third = shaken(session=session), shaken(session=session)
    assert third.server.resumed, "one session is good for several connections"
    assert (first.client.resumed, second.client.resumed, second.server.resumed) == (False, True, True)
    assert second.server.identity == TD.identity("web"), "a resumed session still says who the peer is"


def test_a_transport_that_ends_is_an_end() -> None:
    wire = shaken()
    wire.client.write(b"x")
    wire.run()
    assert wire.server.feed_eof() == []
    assert wire.server.eof


def anonymous() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def stranger() -> TlsContext:
    """A client of another root, which trusts ours."""
    other = TrustDomain("other.consul").snapshot("web")
    return Contexts(msgspec.structs.replace(other, roots=(TD.root.decode(),))).client


def expired() -> TlsContext:
    chain, key = TD.leaf("web", ago=timedelta(hours=2))
    return Contexts(TD.snapshot("web", leaf_chain=chain, leaf_key=key)).client


@pytest.mark.parametrize(
    ("make", "why"),
    [(anonymous, "peer did not return a certificate"), (stranger, ""), (expired, "certificate has expired")],
)
def test_who_proves_nothing_does_not_get_in(make: object, why: str) -> None:
    with pytest.raises(RemoteProtocolError, match=f"TLS handshake failed: .*{why}"):
        shaken(client=make())  # type: ignore[operator]


def test_old_versions_are_refused() -> None:
    context = anonymous()
    with pytest.warns(DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(RemoteProtocolError):
        shaken(client=context)


def test_it_speaks_with_the_other_implementation(tmp_path: Path) -> None:
    context = ssl.create_default_context(cadata=TD.root.decode())
    context.check_hostname = False
    pem = tmp_path / "leaf.pem"
    pem.write_text("".join(TD.leaf("web")))
    context.load_cert_chain(pem)
    wire = shaken(client=context)
    wire.client.write(b"question")
    wire.server.write(b"answer" * 20_000)
    wire.run()
    assert wire.read == {"server": b"question", "client": b"answer" * 20_000}
    assert wire.server.identity == TD.identity("web")


def test_suites_are_those_of_a_quick_cipher() -> None:
    wire = shaken()
    assert (wire.client.version, wire.client.cipher) == ("TLSv1.3", "TLS_AES_128_GCM_SHA256")


def test_the_peers_certificate_can_be_read() -> None:
    wire = shaken()
    assert ssl.DER_cert_to_PEM_cert(wire.client.peer_certificate).startswith("-----BEGIN CERTIFICATE")
    assert Tls(API.server, server_side=True).peer_certificate == b""


@given(st.lists(st.integers(1, tls.BUFFER_BYTES), min_size=1, max_size=4), st.integers())
@settings(max_examples=20, deadline=None)
def test_the_pump_way_gives_the_same_bytes(sizes: list[int], seed: int) -> None:
    """`give` and `take` over the shared buffers, the cipher text cut anywhere."""
    chance = random.Random(seed)
    wire = shaken()
    sent, got = b"", b""
    for size in sizes:
        data = chance.randbytes(size)
        sent += data
        tls.IN[:size] = data
        cipher = bytes(tls.CIPHER[: wire.client.give(size)])
        while cipher:
            cut = chance.randrange(1, min(len(cipher), tls.BUFFER_BYTES) + 1)
            tls.IN[:cut], cipher = cipher[:cut], cipher[cut:]
            found = wire.server.take(cut)
            while found:
                got += tls.PLAIN[:found]
                found = wire.server.more() if found == tls.BUFFER_BYTES else 0
    assert got == sent


def test_the_pump_way_sees_the_end_and_what_is_no_tls() -> None:
    wire = shaken()
    wire.client.close_write()
    cipher = wire.client.outgoing()
    tls.IN[: len(cipher)] = cipher
    assert (wire.server.take(len(cipher)), wire.server.eof) == (0, True)
    other = shaken()
    bad = b"\x17\x03\x03\x00\x20" + bytes(32)
    tls.IN[: len(bad)] = bad
    with pytest.raises(RemoteProtocolError, match="TLS failed"):
        other.server.take(len(bad))


@given(st.binary(min_size=1, max_size=300))
def test_any_bytes_are_waited_for_or_refused(data: bytes) -> None:
    server = Tls(API.server, server_side=True)
    server.start()
    try:
        assert server.feed(data) == []
    except RemoteProtocolError as error:
        assert str(error).startswith("TLS handshake failed")
    assert not server.ready


def test_bytes_that_are_no_tls_end_a_connection() -> None:
    wire = shaken()
    with pytest.raises(RemoteProtocolError, match="TLS failed"):
        wire.server.feed(b"\x17\x03\x03\x00\x20" + bytes(32))
