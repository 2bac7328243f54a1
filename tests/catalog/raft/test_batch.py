"""A log entry's bytes: many commands in one, versioned."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.catalog.raft.batch import cut_batches, decode_batch, encode_batch
from meshagent.errors import CorruptData


@given(st.lists(st.binary(max_size=50), max_size=20))
def test_commands_are_read_back_in_order(commands: list[bytes]) -> None:
    assert decode_batch(encode_batch(commands, time_ms=7)) == ([(None, command) for command in commands], 7)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_batch_or_refused(data: bytes) -> None:
    try:
        items, time_ms = decode_batch(data)
    except CorruptData:
        return
    assert all(isinstance(command, bytes) for _, command in items)
    assert time_ms >= 0


def test_a_request_id_travels_with_its_command() -> None:
    assert decode_batch(b"\x00" + msgspec.msgpack.encode([1, [[b"id", b"command"]]])) == ([(b"id", b"command")], 0)


def test_a_no_op_has_no_commands() -> None:
    assert decode_batch(b"\x01") == ([], 0)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (b"\x00" + msgspec.msgpack.encode([3, []]), "version 3, this program reads 2: use a newer one"),
        (b"\x04", "type 4: written by a newer program"),
        (b"\x00\xc1", "does not decode"),
    ],
)
def test_what_this_program_does_not_know_is_refused(entry: bytes, message: str) -> None:
    with pytest.raises(CorruptData, match=message):
        decode_batch(entry)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=30), st.integers(1, 6), st.integers(1, 60))
def test_cuts_keep_every_command_in_order_and_every_entry_small(sizes: list[int], most: int, most_bytes: int) -> None:
    commands = [bytes(size) for size in sizes]
    cuts = cut_batches(commands, most, most_bytes)
    assert [position for begin, end in cuts for position in range(begin, end)] == list(range(len(commands)))
    for begin, end in cuts:
        assert 0 < end - begin <= most
        assert sum(sizes[begin:end]) <= most_bytes or end - begin == 1
