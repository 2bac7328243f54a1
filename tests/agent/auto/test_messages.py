from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.auto.messages import (
    MAX_BYTES,
    ConfigRequest,
    Configuration,
    Issued,
    SignRequest,
    decode,
    encode,
)
from meshagent.connect.ca import SignedLeaf
from meshagent.errors import RemoteProtocolError

LEAF = SignedLeaf("01", "chain", "c1", "spiffe://x", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z", 7, "root")


@pytest.mark.parametrize(
    "message",
    [
        SignRequest("c1", b"pem", "token"),
        Issued(LEAF, ("pem",), True),
        ConfigRequest("c1", b"pem", "jwt"),
        Configuration(Issued(LEAF), {"encrypt": "key", "tls": {"internal_rpc": {"verify_outgoing": True}}}),
    ],
)
def test_there_and_back(message: SignRequest | Issued | ConfigRequest | Configuration) -> None:
    assert decode(encode(message), type(message)) == message


@pytest.mark.parametrize("node", ["", "x" * 256])
def test_a_node_needs_a_name(node: str) -> None:
    with pytest.raises(RemoteProtocolError, match="name"):
        decode(encode(SignRequest(node, b"")), SignRequest)


@given(st.binary(max_size=200))
def test_any_bytes_either_decode_or_are_refused(data: bytes) -> None:
    for kind in (SignRequest, Issued, ConfigRequest, Configuration):
        try:
            assert isinstance(decode(data, kind), kind)
        except RemoteProtocolError:
            continue


def test_too_many_bytes_are_not_looked_at() -> None:
    with pytest.raises(RemoteProtocolError, match="too many"):
        decode(bytes(MAX_BYTES + 1), SignRequest)
