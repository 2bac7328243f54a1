"""The bytes of the file `vote`: the current term, whom this server voted for in it, and which directory says so.

Source: Ongaro and Ousterhout (2014), figure 2, "persistent state on all servers". Ours in form:
"MESHVOTE" version:u16 length:u16 crc:u32 term:u64 incarnation:u64 candidate[length], little-endian, CRC-32 over the
rest. Version 1 had no incarnation.

The incarnation stands in the file that must never be forgotten, so that it is forgotten with it: a server that comes
back without its vote is another voter, whatever its node id (README, "A server that lost its disk").

What may be changed: as for segments, a new layout gets a new `VERSION`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from zlib import crc32

from meshagent.errors import CorruptData

__all__ = ["Vote", "decode_vote", "encode_vote"]

VERSION = 2
MAGIC = b"MESHVOTE"
_HEAD = struct.Struct("<8sHHIQ")
_INCARNATION = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class Vote:
    """`candidate` is the node id that got this server's vote in `term`, or None.

    `incarnation` is a number that no other data directory has, 1 to 2^62 - 1; 0: it has none yet.
    """

    term: int = 0
    candidate: str | None = None
    incarnation: int = 0


def encode_vote(vote: Vote) -> bytes:
    name = (vote.candidate or "").encode()
    body = _INCARNATION.pack(vote.incarnation) + name
    crc = crc32(body, crc32(struct.pack("<HHQ", VERSION, len(name), vote.term)))
    return _HEAD.pack(MAGIC, VERSION, len(name), crc, vote.term) + body


def decode_vote(data: bytes, *, name: str) -> Vote:
    """Raises CorruptData: the file is damaged; a server that forgets its vote could elect two leaders."""
    if len(data) >= _HEAD.size:
        magic, version, length, crc, term = _HEAD.unpack_from(data)
        body = data[_HEAD.size :]
        if magic == MAGIC and crc == crc32(body, crc32(struct.pack("<HHQ", version, length, term))):
            if not 1 <= version <= VERSION:
                raise CorruptData(f"{name}: vote version {version}, this program reads {VERSION}: use a newer one")
            before = 0 if version == 1 else _INCARNATION.size
            if len(body) == before + length:
                incarnation = _INCARNATION.unpack_from(body)[0] if before else 0
                try:
                    return Vote(term, body[before:].decode() or None, incarnation)
                except UnicodeDecodeError:
                    pass
    raise CorruptData(
        f"{name}: at offset 0: bad checksum; remove this server from the cluster, empty its data directory and let it"
        " join again (a single server: restore a saved snapshot)"
    )
