"""The bytes of one log entry: many commands in one.

Source: ours. The first byte is pysyncobj's command type (0 regular, 1 no-op); a regular entry goes on with msgpack:
[version, [[request_id | nil, command], ...], time_ms]. `request_id` lets a retried write apply once (`once.py`); nil
where the proposer cannot retry. `time_ms` is the log's time, which decides when ids are forgotten; version 1 had none.
A membership entry is `configuration.py`'s, one of a restore `staging.py`'s; they hold no commands.

What may be changed: `VERSION` goes up with the layout, and old versions stay readable: they are in logs on disk.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from meshagent.errors import CorruptData

__all__ = [
    "MEMBERSHIP",
    "NO_OP",
    "REGULAR",
    "RESTORE",
    "Item",
    "cut_batches",
    "decode_batch",
    "encode_batch",
    "time_ms_of",
]

REGULAR = 0
NO_OP = 1
MEMBERSHIP = 2
RESTORE = 3
VERSION = 2
MAX_TIME_MS = 1 << 62

Item = tuple[bytes | None, bytes]  # (request id, command)


class _Batch(msgspec.Struct, array_like=True):
    version: int
    items: list[Item]
    time_ms: int = 0


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Batch)


def encode_batch(commands: Sequence[bytes], ids: Sequence[bytes | None] | None = None, time_ms: int = 0) -> bytes:
    """One entry of `commands`, in order, with the request id of each."""
    pairs = zip([None] * len(commands) if ids is None else ids, commands, strict=True)
    return b"\x00" + _encoder.encode((VERSION, list(pairs), time_ms))


def decode_batch(entry: bytes) -> tuple[list[Item], int]:
    """(the commands of an entry, its log time in ms); in one of another type no commands and time 0.

    Raises:
        CorruptData: this program does not know it.
    """
    if not entry or entry[0] in (NO_OP, MEMBERSHIP, RESTORE):
        return [], 0
    if entry[0] == REGULAR:
        try:
            batch = _decoder.decode(memoryview(entry)[1:])
        except msgspec.DecodeError as error:
            raise CorruptData(f"log entry does not decode: {error}") from error
        if 1 <= batch.version <= VERSION and 0 <= batch.time_ms <= MAX_TIME_MS:
            return batch.items, batch.time_ms
        raise CorruptData(f"log entry of version {batch.version}, this program reads {VERSION}: use a newer one")
    raise CorruptData(f"log entry of type {entry[0]}: written by a newer program")


def time_ms_of(entry: bytes) -> int:
    """The log time of an entry, for whoever only wants to know how old it is; 0 where it has none."""
    try:
        return decode_batch(entry)[1]
    except CorruptData:
        return 0


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
