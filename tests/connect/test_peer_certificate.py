"""A peer's certificate: its URIs and its end; any other bytes are refused."""

from __future__ import annotations

import ssl
from datetime import timedelta

import hypothesis.strategies as st
import pytest
from hypothesis import given
from meshtest.meshcerts import TrustDomain

from meshagent.connect.peer_certificate import peer_facts
from meshagent.errors import RemoteProtocolError

TD = TrustDomain()
DER = ssl.PEM_cert_to_DER_cert(TD.leaf("web")[0])


def test_uris_and_end_are_read() -> None:
    uris, end = peer_facts(DER)
    assert uris == (TD.identity("web"),)
    assert abs(end - TD.now - timedelta(hours=1)) < timedelta(minutes=2)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        peer_facts(data)


@given(st.integers(0, len(DER) - 1), st.integers(0, 255))
def test_a_changed_byte_is_read_or_refused(at: int, value: int) -> None:
    try:
        uris, _ = peer_facts(DER[:at] + bytes([value]) + DER[at + 1 :])
        assert all(isinstance(uri, str) for uri in uris)
    except RemoteProtocolError:
        pass
