"""A state that an operator puts back (`snapshot restore`), as it comes through the log.

Source: ours. hashicorp/raft writes such a state as a snapshot on the leader alone and lets the followers fetch it; a
leader that dies between leaves a server whose state nobody agreed on. Here its chunks are entries: each server loads
them beside the state in use as they are committed, and all exchange the two at the same entry. A restore that was not
finished leaves nothing: the next leader throws it away. The entry, after its first byte (`batch.py`):

    msgpack [version, kind, id, number, chunk]    kind: 0 a chunk, 1 exchange (number: how many chunks), 2 throw away

What may be changed: `VERSION` goes up with the layout, and old versions stay readable: they are in logs on disk. What
is decided here is decided alike on every server: nothing but entries may matter.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from meshagent.catalog.log import Restoring, StateMachine, begin_restore
from meshagent.catalog.raft.batch import RESTORE
from meshagent.errors import Conflict, CorruptData

__all__ = ["CHUNK", "EXCHANGE", "THROW_AWAY", "Part", "Staging", "decode_part", "encode_part"]

VERSION = 1
CHUNK, EXCHANGE, THROW_AWAY = 0, 1, 2


class Part(msgspec.Struct, array_like=True):
    version: int
    kind: int
    id: bytes
    number: int
    chunk: bytes = b""


_decoder = msgspec.msgpack.Decoder(Part)


def encode_part(kind: int, id: bytes, number: int, chunk: bytes = b"") -> bytes:
    return bytes((RESTORE,)) + msgspec.msgpack.encode(Part(VERSION, kind, id, number, chunk))


def decode_part(entry: bytes) -> Part:
    """Raises CorruptData: this program does not know it."""
    try:
        part = _decoder.decode(memoryview(entry)[1:])
    except msgspec.DecodeError as error:
        raise CorruptData(f"log entry of a restore does not decode: {error}") from error
    if part.version != VERSION or part.kind not in (CHUNK, EXCHANGE, THROW_AWAY):
        raise CorruptData(f"log entry of a restore in version {part.version}, kind {part.kind}: use a newer program")
    return part


class Staging:
    """At most one state on its way. `chunks` are kept as they came, for snapshots taken meanwhile."""

    def __init__(self, machine: StateMachine) -> None:
        self._machine = machine
        self._restoring: Restoring | None = None
        self.id = b""  # of what is on its way, or empty
        self.chunks: list[bytes] = []
        self._leaving: list[Iterator[object]] = []

    def take(self, id: bytes, number: int, chunk: bytes) -> None:
        """The chunk numbered `number` (from 0) of restore `id`; the first throws away what was there.

        Raises:
            Conflict: it is not what comes next. CorruptData: what came is thrown away.
        """
        if number == 0:
            self.throw_away()
            self.id = id
            self._restoring = begin_restore(self._machine)
        if self._restoring is None or id != self.id or number != len(self.chunks):
            raise Conflict("this restore was thrown away: begin it again")
        try:
            self._restoring.load(chunk)
        except CorruptData:
            self.throw_away()
            raise
        self.chunks.append(chunk)

    def exchange(self, id: bytes, count: int) -> None:
        """Put what has come in place of the state in use.

        Raises:
            Conflict: it is not there as a whole. CorruptData: it is thrown away.
        """
        restoring = self._restoring
        if restoring is None or id != self.id or count != len(self.chunks):
            raise Conflict("this restore was thrown away: begin it again")
        try:
            restoring.finish()
            self._leaving.append(restoring.take_place(lifted=True))
            self._restoring = None
        finally:
            self.throw_away()

    def throw_away(self) -> None:
        """What was on its way has no use any more."""
        if self._restoring is not None:
            self._leaving.append(self._restoring.forget())
        if self.chunks:
            self._leaving.append(_popped(self.chunks))
        self._restoring = None
        self.id = b""
        self.chunks = []

    def leaving(self) -> Iterator[Iterator[object]]:
        """Steps, each set of them once, that let go of what has lost its use: all of it at once would hold the loop."""
        while self._leaving:
            yield self._leaving.pop()


def _popped(chunks: list[bytes]) -> Iterator[None]:
    while chunks:
        chunks.pop()
        yield
