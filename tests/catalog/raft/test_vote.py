"""The vote file: read back as written, or refused."""

from __future__ import annotations

import struct
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.catalog.raft.vote import Vote, decode_vote, encode_vote
from meshagent.errors import CorruptData


@given(st.integers(0, 2**64 - 1), st.none() | st.text(min_size=1, max_size=40), st.integers(0, 2**62 - 1))
def test_a_vote_is_read_back(term: int, candidate: str | None, incarnation: int) -> None:
    vote = Vote(term, candidate, incarnation)
    assert decode_vote(encode_vote(vote), name="vote") == vote


def test_a_vote_of_version_1_has_no_incarnation_yet() -> None:
    crc = crc32(b"node-1", crc32(struct.pack("<HHQ", 1, 6, 7)))
    old = struct.pack("<8sHHIQ", b"MESHVOTE", 1, 6, crc, 7) + b"node-1"
    assert decode_vote(old, name="vote") == Vote(7, "node-1", 0)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_vote_or_refused(data: bytes) -> None:
    with pytest.raises(CorruptData, match=r"^vote: at offset 0: bad checksum; remove this server"):
        decode_vote(data, name="vote")


@given(st.integers(0, 2**40), st.data())
def test_one_changed_bit_is_noticed(term: int, draw: st.DataObject) -> None:
    data = bytearray(encode_vote(Vote(term, "node-1")))
    data[draw.draw(st.integers(0, len(data) - 1))] ^= 1 << draw.draw(st.integers(0, 7))
    with pytest.raises(CorruptData):
        decode_vote(bytes(data), name="vote")
