"""The bytes of a log segment: a header, then records, each with its own checksum.

Source: ours. The rule for what a crash may leave behind follows Pillai et al., "All File Systems Are Not Created Equal"
(OSDI 2014): of what was written since the last fdatasync any part may be on disk, of what came before everything is.

    segment  = header record*  (zeroes, where space was reserved ahead of the records)
    header   = "MESHRAFT" version:u16 reserved:u16 crc:u32 sequence:u64 first_index:u64
    record   = marker:u32 crc:u32 length:u32 group:u32 index:u64 term:u64 payload[length]

All numbers are little-endian. `crc` is CRC-32 over everything in the header or record but itself and what precedes it
in the record. `group` is the offset of the first record written together with this one: all before it was on disk
when this record was written. So a bad record is a torn tail if no good record names a group that starts behind it,
and damage to something acknowledged if one does. A record whose index is not the next one replaces the log from that
index on: the file itself is only ever appended to.

What may be changed: nothing in place. A new layout gets a new `VERSION`; the old one stays readable.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from zlib import crc32

from meshagent.errors import CorruptData

__all__ = [
    "HEADER_BYTES",
    "MAX_PAYLOAD_BYTES",
    "RECORD_BYTES",
    "VERSION",
    "WAY_OUT",
    "Entry",
    "Segment",
    "encode_group",
    "encode_header",
    "good_part",
    "scan",
]

Entry = tuple[bytes, int, int]  # (payload, index, term): the shape pysyncobj keeps its log in

VERSION = 1
MAGIC = b"MESHRAFT"
MARKER = 0x9E3779B9  # any value that seldom occurs by chance; bytes.find looks for it behind a bad record
MARKER_BYTES = struct.pack("<I", MARKER)
MAX_PAYLOAD_BYTES = 64 << 20  # far above the batch limit; a damaged length must not allocate more

_HEADER = struct.Struct("<8sHHIQQ")
_RECORD = struct.Struct("<IIIIQQ")
_CHECKED = struct.Struct("<IIQQ")  # the part of the record's header that its checksum covers
HEADER_BYTES = _HEADER.size
RECORD_BYTES = _RECORD.size

WAY_OUT = (
    "`meshagent operator raft repair` shows what is left; restore this server from its peers or from a saved snapshot"
)


@dataclass(frozen=True, slots=True)
class Segment:
    """What one segment holds. `end` is the offset behind the last good record; `torn` how many bytes follow in vain."""

    sequence: int
    first_index: int
    entries: Sequence[Entry]
    end: int
    torn: int


def encode_header(sequence: int, first_index: int) -> bytes:
    """The start of segment number `sequence`, whose first record is expected to have `first_index`."""
    crc = crc32(struct.pack("<HHQQ", VERSION, 0, sequence, first_index))
    return _HEADER.pack(MAGIC, VERSION, 0, crc, sequence, first_index)


def encode_group(entries: Iterable[Entry], group: int) -> bytes:
    """The records of `entries`, to be written together at offset `group` of a segment."""
    parts: list[bytes] = []
    for payload, index, term in entries:
        length = len(payload)
        crc = crc32(payload, crc32(_CHECKED.pack(length, group, index, term)))
        parts.append(_RECORD.pack(MARKER, crc, length, group, index, term))
        parts.append(payload)
    return b"".join(parts)


def scan(data: bytes, *, name: str, last: bool) -> Segment | None:
    """Read a whole segment; None for a last one that was never finished being created.

    `last`: this is the newest segment, whose tail a crash may have torn.

    Raises:
        CorruptData: a part that was on disk once does not pass its checksum; names the file and the offset.
    """
    header = _scan_header(data, name=name, last=last)
    if header is None:
        return None
    sequence, first_index = header
    entries: list[Entry] = []
    offset = HEADER_BYTES
    size = len(data)
    view = memoryview(data)
    highest = first_index - 1
    while (record := _record_at(data, view, offset, size)) is not None:
        length, _, index, term = record
        if index > highest + 1:
            raise CorruptData(f"{name}: at offset {offset}: entry {index} follows entry {highest}; {WAY_OUT}")
        begin = offset + RECORD_BYTES
        offset = begin + length
        entries.append((data[begin:offset], index, term))
        highest = index
    rest = size - offset
    if rest and (not last or data.count(0, offset) != rest):
        _judge_tail(data, view, offset, name=name, last=last)
        return Segment(sequence, first_index, entries, offset, rest)
    return Segment(sequence, first_index, entries, offset, 0)


def good_part(data: bytes) -> tuple[list[Entry], int]:
    """(the records before the first bad one, the offset behind them), of a segment whose header is good or not."""
    if _header_of(data) is None:
        return [], 0
    entries: list[Entry] = []
    offset = HEADER_BYTES
    view = memoryview(data)
    while (record := _record_at(data, view, offset, len(data))) is not None:
        length, _, index, term = record
        begin = offset + RECORD_BYTES
        offset = begin + length
        entries.append((data[begin:offset], index, term))
    return entries, offset


def _header_of(data: bytes) -> tuple[int, int] | None:
    try:
        return _scan_header(data, name="", last=False)
    except CorruptData:
        return None


def _scan_header(data: bytes, *, name: str, last: bool) -> tuple[int, int] | None:
    if len(data) >= HEADER_BYTES:
        magic, version, reserved, crc, sequence, first_index = _HEADER.unpack_from(data)
        if magic == MAGIC and crc == crc32(struct.pack("<HHQQ", version, reserved, sequence, first_index)):
            if version != VERSION:
                raise CorruptData(f"{name}: segment version {version}, this program reads {VERSION}: use a newer one")
            return sequence, first_index
    # A header is on disk before the first record is written: with a record behind it, it was damaged later.
    if last and not _good_record_behind(data, memoryview(data), 0, group_from=0):
        return None
    raise CorruptData(f"{name}: at offset 0: bad segment header; {WAY_OUT}")


def _record_at(data: bytes, view: memoryview, offset: int, size: int) -> tuple[int, int, int, int] | None:
    """(length, group, index, term) of a good record at `offset`."""
    begin = offset + RECORD_BYTES
    if begin > size:
        return None
    marker, crc, length, group, index, term = _RECORD.unpack_from(data, offset)
    end = begin + length
    if marker != MARKER or length > MAX_PAYLOAD_BYTES or end > size or group > offset:
        return None
    if crc32(view[offset + 8 : end]) != crc:
        return None
    return length, group, index, term


def _judge_tail(data: bytes, view: memoryview, offset: int, *, name: str, last: bool) -> None:
    if not last:
        raise CorruptData(f"{name}: at offset {offset}: bad record before the end of the log; {WAY_OUT}")
    good = _good_record_behind(data, view, offset, group_from=offset + 1)
    if good:
        raise CorruptData(f"{name}: at offset {offset}: bad record, good ones follow at offset {good}; {WAY_OUT}")


def _good_record_behind(data: bytes, view: memoryview, offset: int, *, group_from: int) -> int:
    """Offset of a good record behind `offset` that was written when all before `group_from` was on disk, or 0."""
    found = offset
    while (found := data.find(MARKER_BYTES, found + 1)) > 0:
        record = _record_at(data, view, found, len(data))
        if record is not None and record[1] >= group_from:
            return found
    return 0
