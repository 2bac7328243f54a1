"""Members in an entry: what is encoded comes back, and damage is named."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.catalog.raft.batch import MEMBERSHIP, decode_batch
from meshagent.catalog.raft.configuration import (
    Configuration,
    Server,
    decode_configuration,
    encode_configuration,
    initial,
)
from meshagent.errors import CorruptData

THREE = initial({"b": "b:1", "a": "a:1", "c": "c:1"})


def test_what_is_encoded_comes_back_and_holds_no_commands() -> None:
    entry = encode_configuration(THREE.having(Server("d", "d:1", False)))
    assert entry[0] == MEMBERSHIP
    assert decode_configuration(entry).addresses == {"a": "a:1", "b": "b:1", "c": "c:1", "d": "d:1"}
    assert decode_configuration(entry).voters == {"a", "b", "c"}
    assert decode_batch(entry) == ([], 0)


def test_a_server_is_added_replaced_and_removed_by_its_id() -> None:
    assert [server.node_id for server in THREE.servers] == ["a", "b", "c"]
    moved = THREE.having(Server("b", "b:2", True))
    assert moved.get("b") == Server("b", "b:2", True)
    assert moved.without("b").voters == {"a", "c"}
    assert THREE.get("x") is None
    assert Configuration().voters == frozenset()


@given(st.binary(max_size=60))
def test_any_bytes_are_a_configuration_or_corrupt(junk: bytes) -> None:
    try:
        decode_configuration(bytes((MEMBERSHIP,)) + junk)
    except CorruptData:
        pass


def test_a_newer_version_is_named() -> None:
    with pytest.raises(CorruptData, match="version 9, this program reads 1"):
        decode_configuration(bytes((MEMBERSHIP,)) + msgspec.msgpack.encode((9, THREE)))
