"""The bytes of the file `members`: which servers there are, said by a person and not by the log.

Source: ours. Written when a cluster is begun (`bootstrap_expect`) and when one is recovered (`peers.json`). It stands
outside of the log because servers of different logs are given the same one: an entry would contradict another server's
entry of the same index and term. The first leader writes the configuration into the log.

    "MESHMEMB" version:u16 reserved:u16 crc:u32 term:u64 msgpack [[node_id, address, voter], ...]

little-endian, CRC-32 over the rest. Changes of members in entries of an earlier term than `term` do not count any more.
A recovery begins a new term on its server, so all that a leader says later counts.

What may be changed: as for segments, a new layout gets a new `VERSION`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from zlib import crc32

import msgspec

from meshagent.catalog.raft.configuration import Configuration
from meshagent.errors import CorruptData

__all__ = ["Members", "decode_members", "encode_members"]

VERSION = 1
MAGIC = b"MESHMEMB"
_HEAD = struct.Struct("<8sHHIQ")
_decoder = msgspec.msgpack.Decoder(Configuration)


@dataclass(frozen=True, slots=True)
class Members:
    """`configuration` holds until an entry of `term` or later changes it."""

    term: int
    configuration: Configuration


def encode_members(members: Members) -> bytes:
    body = msgspec.msgpack.encode(members.configuration)
    crc = crc32(body, crc32(struct.pack("<HHQ", VERSION, 0, members.term)))
    return _HEAD.pack(MAGIC, VERSION, 0, crc, members.term) + body


def decode_members(data: bytes, *, name: str) -> Members:
    """Raises CorruptData."""
    if len(data) >= _HEAD.size:
        magic, version, reserved, crc, term = _HEAD.unpack_from(data)
        body = memoryview(data)[_HEAD.size :]
        if magic == MAGIC and crc == crc32(body, crc32(struct.pack("<HHQ", version, reserved, term))):
            if version != VERSION:
                raise CorruptData(f"{name}: members version {version}, this program reads {VERSION}: use a newer one")
            try:
                return Members(term, _decoder.decode(body))
            except (msgspec.DecodeError, UnicodeDecodeError):
                pass
    raise CorruptData(f"{name}: at offset 0: bad checksum; name the servers anew in peers.json in the same directory")
