"""The bytes of the file `vote`: the current term and whom this server voted for in it.

Source: Ongaro and Ousterhout (2014), figure 2, "persistent state on all servers". Ours in form:
"MESHVOTE" version:u16 length:u16 crc:u32 term:u64 candidate[length], little-endian, CRC-32 over the rest.

What may be changed: as for segments, a new layout gets a new `VERSION`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from zlib import crc32

from meshagent.errors import CorruptData

__all__ = ["Vote", "decode_vote", "encode_vote"]

VERSION = 1
MAGIC = b"MESHVOTE"
_HEAD = struct.Struct("<8sHHIQ")


@dataclass(frozen=True, slots=True)
class Vote:
    """`candidate` is the node id that got this server's vote in `term`, or None."""

    term: int = 0
    candidate: str | None = None


def encode_vote(vote: Vote) -> bytes:
    name = (vote.candidate or "").encode()
    crc = crc32(name, crc32(struct.pack("<HHQ", VERSION, len(name), vote.term)))
    return _HEAD.pack(MAGIC, VERSION, len(name), crc, vote.term) + name


def decode_vote(data: bytes, *, name: str) -> Vote:
    """Raises CorruptData: the file is damaged; a server that forgets its vote could elect two leaders."""
    if len(data) >= _HEAD.size:
        magic, version, length, crc, term = _HEAD.unpack_from(data)
        candidate = data[_HEAD.size :]
        if (
            magic == MAGIC
            and length == len(candidate)
            and crc == crc32(candidate, crc32(struct.pack("<HHQ", version, length, term)))
        ):
            if version != VERSION:
                raise CorruptData(f"{name}: vote version {version}, this program reads {VERSION}: use a newer one")
            try:
                return Vote(term, candidate.decode() or None)
            except UnicodeDecodeError:
                pass
    raise CorruptData(
        f"{name}: at offset 0: bad checksum; remove this server from the cluster, empty its data directory and let it"
        " join again (a single server: restore a saved snapshot)"
    )
