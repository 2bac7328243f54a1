"""TLS in memory: two ends joined by a fake wire (RFC 8446; TLS of the public listener in leaf.md)."""

from __future__ import annotations

import ssl
from datetime import timedelta

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given, settings
from meshtest.meshcerts import TrustDomain

from meshagent.connect.proxy.contexts import Contexts
from meshagent.connect.proxy.layers.tls import Tls
from meshagent.errors import RemoteProtocolError

TD = TrustDomain()
WEB, API = Contexts(TD.snapshot("web")), Contexts(TD.snapshot("api"))


class Wire:
    """A client and a server, and what each has read."""

    def __init__(self, client: ssl.SSLContext = WEB.client, session: ssl.SSLSession | None = None) -> None:
        self.client = Tls(client, server_side=False, server_name="api.default", session=session)
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
    second = shaken(session=session)
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


def stranger() -> ssl.SSLContext:
    """A client of another root, which trusts ours."""
    other = TrustDomain("other.consul").snapshot("web")
    return Contexts(msgspec.structs.replace(other, roots=(TD.root.decode(),))).client


def expired() -> ssl.SSLContext:
    chain, key = TD.leaf("web", ago=timedelta(hours=2))
    return Contexts(TD.snapshot("web", leaf_chain=chain, leaf_key=key)).client


@pytest.mark.parametrize(
    ("make", "why"),
    [(anonymous, "PEER_DID_NOT_RETURN_A_CERTIFICATE"), (stranger, ""), (expired, "certificate has expired")],
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
