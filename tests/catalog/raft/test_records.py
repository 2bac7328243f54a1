"""A segment's bytes: what is written is read, what a crash tore is cut, what was damaged later is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.catalog.raft.records import HEADER_BYTES, RECORD_BYTES, Entry, encode_group, encode_header, scan
from meshagent.errors import CorruptData

PAYLOADS = st.lists(st.lists(st.binary(max_size=40), min_size=1, max_size=4), max_size=6)


def segment(groups: list[list[bytes]], *, first: int = 2, term: int = 3) -> tuple[bytes, list[Entry], list[int]]:
    """(bytes, entries, offset of each group)."""
    data = encode_header(1, first)
    entries: list[Entry] = []
    offsets = []
    for payloads in groups:
        new = [(payload, first + len(entries) + position, term) for position, payload in enumerate(payloads)]
        offsets.append(len(data))
        data += encode_group(new, len(data))
        entries += new
    return data, entries, offsets


@given(PAYLOADS, st.integers(0, 100))
def test_what_is_encoded_is_read_back_and_zeroes_behind_it_are_the_end(groups: list[list[bytes]], zeroes: int) -> None:
    data, entries, _ = segment(groups)
    found = scan(data + bytes(zeroes), name="x", last=True)
    assert found is not None
    assert (list(found.entries), found.end, found.torn, found.sequence, found.first_index) == (
        entries,
        len(data),
        0,
        1,
        2,
    )


@given(st.binary(max_size=400), st.booleans())
def test_any_bytes_are_read_or_refused(data: bytes, last: bool) -> None:
    try:
        scan(data, name="x", last=last)
    except CorruptData as error:
        assert str(error).startswith("x: ")


@given(PAYLOADS, st.binary(max_size=100), st.booleans())
def test_any_bytes_behind_a_good_header_are_read_or_refused(
    groups: list[list[bytes]], garbage: bytes, last: bool
) -> None:
    data, entries, _ = segment(groups)
    try:
        found = scan(data + garbage, name="x", last=last)
    except CorruptData:
        assert not last
    else:
        assert found is not None
        assert list(found.entries[: len(entries)]) == entries


@given(PAYLOADS.filter(bool), st.data())
def test_every_cut_leaves_the_whole_records_before_it(groups: list[list[bytes]], draw: st.DataObject) -> None:
    data, entries, _ = segment(groups)
    cut = draw.draw(st.integers(HEADER_BYTES, len(data)))
    found = scan(data[:cut], name="x", last=True)
    assert found is not None
    whole = list(found.entries)
    assert whole == entries[: len(whole)]
    assert found.end + found.torn == cut
    assert len(whole) == len(entries) or found.end + RECORD_BYTES + len(entries[len(whole)][0]) > cut


@given(PAYLOADS.filter(lambda groups: len(groups) > 1), st.data())
def test_damage_before_the_last_group_is_refused_with_file_offset_and_way_out(
    groups: list[list[bytes]], draw: st.DataObject
) -> None:
    data, _, offsets = segment(groups)
    position = draw.draw(st.integers(HEADER_BYTES, offsets[-1] - 1))
    damaged = bytearray(data)
    damaged[position] ^= draw.draw(st.integers(1, 255))
    with pytest.raises(CorruptData, match=r"000000000001\.log: at offset \d+: .*restore this server") as caught:
        scan(bytes(damaged), name="000000000001.log", last=True)
    assert int(str(caught.value).split("offset ")[1].split(":")[0]) <= position


@given(PAYLOADS.filter(bool), st.data())
def test_damage_inside_the_last_group_is_a_torn_tail_even_when_good_records_follow(
    groups: list[list[bytes]], draw: st.DataObject
) -> None:
    data, entries, offsets = segment(groups)
    damaged = bytearray(data)
    damaged[draw.draw(st.integers(offsets[-1], len(data) - 1))] ^= draw.draw(st.integers(1, 255))
    found = scan(bytes(damaged), name="x", last=True)
    assert found is not None
    kept = list(found.entries)
    assert kept == entries[: len(kept)]
    assert len(kept) >= len(entries) - len(groups[-1])


@given(PAYLOADS.filter(bool), st.data())
def test_a_segment_that_is_not_the_last_must_be_whole(groups: list[list[bytes]], draw: st.DataObject) -> None:
    data, _, _ = segment(groups)
    cut = draw.draw(st.integers(0, len(data) - 1))
    found = None
    try:
        found = scan(data[:cut], name="x", last=False)
    except CorruptData:
        return
    assert found is not None
    assert found.end == cut  # exactly at the end of a record: only the next segment can show that one is missing


def test_a_header_that_was_never_finished_is_no_segment() -> None:
    data, _, _ = segment([[b"a"]])
    assert scan(data[: HEADER_BYTES - 1], name="x", last=True) is None
    assert scan(b"", name="x", last=True) is None
    assert scan(bytes(4096), name="x", last=True) is None


def test_a_damaged_header_with_records_behind_it_is_refused() -> None:
    data, _, _ = segment([[b"a"]])
    with pytest.raises(CorruptData, match="at offset 0: bad segment header"):
        scan(b"X" + data[1:], name="x", last=True)


def test_a_newer_version_asks_for_a_newer_program() -> None:
    import struct
    from zlib import crc32

    header = struct.pack("<8sHHIQQ", b"MESHRAFT", 2, 0, crc32(struct.pack("<HHQQ", 2, 0, 1, 2)), 1, 2)
    with pytest.raises(CorruptData, match="version 2, this program reads 1: use a newer one"):
        scan(header, name="x", last=True)


def test_an_entry_may_replace_earlier_ones_but_not_leave_a_gap() -> None:
    data = encode_header(1, 2)
    data += encode_group([(b"a", 2, 1), (b"b", 3, 1)], len(data))
    replaced = data + encode_group([(b"c", 2, 2)], len(data))
    found = scan(replaced, name="x", last=True)
    assert found is not None
    assert [entry[1] for entry in found.entries] == [2, 3, 2]
    with pytest.raises(CorruptData, match="entry 5 follows entry 3"):
        scan(data + encode_group([(b"c", 5, 2)], len(data)), name="x", last=True)
