"""What the first bytes of a connection say of its protocol; the listener is in tests/e2e/test_detected_protocols.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from meshtest.meshcerts import TrustDomain

from meshagent.connect.proxy.contexts import Contexts
from meshagent.connect.proxy.detecting import spoken
from meshagent.connect.proxy.layers.tls import Tls

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "protocol"),
    [
        (b"GET / HTTP/1.1\r\n", "http/1.1"),
        (b"DELETE /x", "http/1.1"),
        (b"OPTIONS * HTTP/1.1", "http/1.1"),
        (b"GET http://api/x HTTP/1.1", "http/1.1"),
        (PREFACE + b"\0\0\0\4", "h2"),
        (b"\x16\x03\x01\x02\x00\x01\x00", "tls"),
        (b"PING\r\n", "other"),  # Redis
        (b"GET key\r\n", "other"),
        (b"get key\r\n", "other"),  # memcached
        (b"OPTIONS sip:a SIP/2.0", "other"),
        (b"SSH-2.0-x\r\n", "other"),
        (b"*1\r\n$4\r\n", "other"),
        (b"\x00\x00\x00\x08\x04\xd2\x16\x2f", "other"),  # PostgreSQL asks for TLS
        (b"PRI * HTTP/1.1\r\n", "other"),
        (b"\x16\x02", "other"),
        (b"", None),
        (b"G", None),
        (b"GET ", None),
        (b"GET http:", None),
        (b"PRI * HTTP/2.0\r\n", None),
        (b"P", None),  # POST, PUT, PATCH or PRI
        (b"\x16\x03\x01", None),
    ],
)
def test_the_first_bytes_tell(data: bytes, protocol: str | None) -> None:
    assert spoken(data) == protocol


def test_a_real_client_of_tls() -> None:
    client = Tls(Contexts(TrustDomain().snapshot("web")).client, server_side=False)
    client.start()
    assert spoken(client.outgoing()) == "tls"


@given(st.binary(max_size=40), st.binary(max_size=20))
def test_what_is_known_stays_so(first: bytes, more: bytes) -> None:
    found = spoken(first)
    if found is not None:
        assert spoken(first + more) == found


@given(st.sampled_from([b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", PREFACE, b"POST /x HTTP/1.1\r\n"]), st.integers(0, 40))
def test_pieces_of_a_beginning_are_waited_for(whole: bytes, at: int) -> None:
    assert spoken(whole[:at]) in {None, spoken(whole)}


@given(st.binary(min_size=25, max_size=60))
def test_two_dozen_bytes_are_enough(data: bytes) -> None:
    assert spoken(data) is not None
