"""peers.json: what Consul takes is taken, what is wrong is named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.catalog.raft.configuration import Configuration, Server
from meshagent.catalog.raft.peers_file import EXAMPLE, decode_peers, encode_peers
from meshagent.errors import ConfigError

SERVERS = Configuration((Server("a", "10.0.0.1:8300", True), Server("b", "[::1]:8300", False)))


def test_what_the_documentation_shows() -> None:
    data = b"""[
      {"id": "b", "address": "[::1]:8300", "non_voter": true},
      {"id": "a", "address": "10.0.0.1:8300"}
    ]"""
    assert decode_peers(data, name="peers.json") == SERVERS
    assert decode_peers(EXAMPLE.encode(), name="x").voters == {"<node id>"}


def test_what_is_written_is_read() -> None:
    assert decode_peers(encode_peers(SERVERS), name="peers.json") == SERVERS


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "peers.json: Input data was truncated"),
        ('["10.1.0.1:8300"]', "it must look like"),
        ('[{"id": "a", "address": "a:1", "voter": true}]', "unknown field `voter`"),
        ('[{"id": "", "address": "a:1"}]', r"peers.json: \[0\].id is empty"),
        ('[{"id": "a", "address": "a"}]', r"peers.json: \[0\].address is 'a', not host:port"),
        ('[{"id": "a", "address": "a:99999"}]', "not host:port"),
        ('[{"id": "a", "address": "a:1"}, {"id": "a", "address": "b:1"}]', r"\[1\].id 'a' stands there twice"),
        ('[{"id": "a", "address": "a:1"}, {"id": "b", "address": "a:1"}]', r"\[1\].address 'a:1' stands there twice"),
        ('[{"id": "a", "address": "a:1", "non_voter": true}]', "no server in it votes"),
        ("[]", "no server in it votes"),
    ],
)
def test_what_is_wrong_is_named(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        decode_peers(text.encode(), name="peers.json")


@given(st.binary(max_size=80))
def test_any_bytes_are_servers_or_refused(data: bytes) -> None:
    try:
        assert decode_peers(data, name="peers.json").voters
    except ConfigError:
        pass
