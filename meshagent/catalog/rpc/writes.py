"""The payloads of forwarding: a batch of writes to the leader, and what became of each.

Source: ours. A batch is msgpack `[[id, command], ...]`; its answer `[[0, result] | [code, message], ...]` in the same
order, codes as in `error_codes.py`. Results are plain values: a struct arrives as what msgpack makes of it. A read
index is asked for with one byte (0 default, 1 consistent) and is eight bytes.

What may be changed: names of methods and layouts are on the wire: append-only.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import msgspec

from meshagent.catalog.rpc.error_codes import code_and_message, error_of
from meshagent.errors import InternalError, MeshError, RemoteProtocolError

__all__ = [
    "MAX_BATCH_BYTES",
    "MAX_BATCH_WRITES",
    "PROPOSE",
    "READ_INDEX",
    "decode_index",
    "decode_outcomes",
    "decode_read",
    "decode_writes",
    "encode_index",
    "encode_outcomes",
    "encode_read",
    "encode_writes",
]

#: Methods, since 0.1.
PROPOSE = "propose"
READ_INDEX = "read-index"

#: As much as one log entry holds by default (`RaftSettings.max_entry_commands`, `max_entry_bytes`).
MAX_BATCH_WRITES = 512
MAX_BATCH_BYTES = 1 << 20

Write = tuple[bytes, bytes]  # (id, command)
_INDEX = struct.Struct(">Q")

_encoder = msgspec.msgpack.Encoder()
_writes = msgspec.msgpack.Decoder(list[Write])
_outcomes = msgspec.msgpack.Decoder(list[tuple[int, Any]])


def encode_writes(writes: Sequence[Write]) -> bytes:
    """The payload of a `propose` request."""
    return _encoder.encode(writes)


def decode_writes(payload: bytes) -> list[Write]:
    """Raises RemoteProtocolError: not a batch, or one larger than anybody sends."""
    try:
        writes = _writes.decode(payload)
    except (msgspec.DecodeError, RecursionError) as error:
        raise RemoteProtocolError(f"a batch of writes does not decode: {error}") from error
    if len(writes) > MAX_BATCH_WRITES:
        raise RemoteProtocolError(f"a batch of {len(writes)} writes: the limit is {MAX_BATCH_WRITES}")
    return writes


def encode_outcomes(outcomes: Sequence[Any]) -> bytes:
    """`outcomes` are results, or exceptions for the writes that were refused."""
    rows = [code_and_message(value) if isinstance(value, BaseException) else (0, value) for value in outcomes]
    try:
        return _encoder.encode(rows)
    except TypeError:
        return _encoder.encode([row if _plain(row) else code_and_message(_unsendable(row[1])) for row in rows])


def _plain(row: tuple[int, Any]) -> bool:
    try:
        _encoder.encode(row)
    except TypeError:
        return False
    return True


def _unsendable(value: Any) -> MeshError:
    return InternalError(
        f"the write was applied; its result, a {type(value).__name__}, cannot be sent to another server"
    )


def decode_outcomes(payload: bytes) -> list[Any]:
    """Results, and MeshErrors for the writes that were refused. Raises RemoteProtocolError."""
    try:
        rows = _outcomes.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError(f"the outcome of a batch does not decode: {error}") from error
    return [value if code == 0 else error_of(code, str(value)) for code, value in rows]


def encode_read(*, consistent: bool) -> bytes:
    """The payload of a `read-index` request."""
    return b"\x01" if consistent else b"\x00"


def decode_read(payload: bytes) -> bool:
    """Whether a quorum must confirm the leader. Raises RemoteProtocolError."""
    if payload not in {b"\x00", b"\x01"}:
        raise RemoteProtocolError("a read-index request is one byte, 0 or 1")
    return payload == b"\x01"


def encode_index(index: int) -> bytes:
    """The answer of a `read-index` request."""
    return _INDEX.pack(index)


def decode_index(payload: bytes) -> int:
    """Raises RemoteProtocolError."""
    if len(payload) != _INDEX.size:
        raise RemoteProtocolError("a read index is eight bytes")
    return int(_INDEX.unpack(payload)[0])
