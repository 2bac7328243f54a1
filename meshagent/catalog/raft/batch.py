"""The bytes of one log entry: many commands in one.

Source: ours. The first byte is pysyncobj's command type (0 regular, 1 no-op); a regular entry goes on with msgpack:
[version, [[request_id | nil, command], ...]]. `request_id` lets a retried write apply once (`once.py`); nil where the
proposer cannot retry. A membership entry is `configuration.py`'s; it holds no commands.

What may be changed: `VERSION` goes up with the layout, and old versions stay readable: they are in logs on disk.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from meshagent.errors import CorruptData

__all__ = ["MEMBERSHIP", "NO_OP", "REGULAR", "Item", "cut_batches", "decode_batch", "encode_batch"]

REGULAR = 0
NO_OP = 1
MEMBERSHIP = 2
VERSION = 1

Item = tuple[bytes | None, bytes]  # (request id, command)

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[int, list[Item]])


def encode_batch(commands: Sequence[bytes], ids: Sequence[bytes | None] | None = None) -> bytes:
    """One entry of `commands`, in order, with the request id of each."""
    if ids is None:
        return b"\x00" + _encoder.encode((VERSION, [(None, command) for command in commands]))
    return b"\x00" + _encoder.encode((VERSION, list(zip(ids, commands, strict=True))))


def decode_batch(entry: bytes) -> list[Item]:
    """The commands of an entry; none for a no-op or a change of members.

    Raises:
        CorruptData: this program does not know it.
    """
    if not entry or entry[0] in (NO_OP, MEMBERSHIP):
        return []
    if entry[0] == REGULAR:
        try:
            version, items = _decoder.decode(memoryview(entry)[1:])
        except msgspec.DecodeError as error:
            raise CorruptData(f"log entry does not decode: {error}") from error
        if version == VERSION:
            return items
        raise CorruptData(f"log entry of version {version}, this program reads {VERSION}: use a newer one")
    raise CorruptData(f"log entry of type {entry[0]}: written by a newer program")


def cut_batches(commands: Sequence[bytes], max_commands: int, max_bytes: int) -> list[tuple[int, int]]:
    """(begin, end) of the entries to make of `commands`; one that is too large by itself is an entry by itself."""
    cuts = []
    begin = size = 0
    for position, command in enumerate(commands):
        full = position - begin >= max_commands or size + len(command) > max_bytes
        if full and position > begin:
            cuts.append((begin, position))
            begin, size = position, 0
        size += len(command)
    cuts.append((begin, len(commands)))
    return cuts
