"""The file `members` comes back as it was, or is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.catalog.raft.configuration import Configuration, Server
from meshagent.catalog.raft.members import Members, decode_members, encode_members
from meshagent.errors import CorruptData

MEMBERS = Members(7, Configuration((Server("a", "a:1", True), Server("b", "b:1", False))))


def test_it_comes_back() -> None:
    assert decode_members(encode_members(MEMBERS), name="members") == MEMBERS


@given(st.integers(0, len(encode_members(MEMBERS)) - 1), st.integers(1, 255))
def test_any_damage_is_noticed(offset: int, mask: int) -> None:
    data = bytearray(encode_members(MEMBERS))
    data[offset] ^= mask
    with pytest.raises(CorruptData, match=r"^members: "):
        decode_members(bytes(data), name="members")


@given(st.binary(max_size=60))
def test_any_bytes_are_members_or_refused(data: bytes) -> None:
    with pytest.raises(CorruptData, match=r"peers\.json"):
        decode_members(data, name="members")
