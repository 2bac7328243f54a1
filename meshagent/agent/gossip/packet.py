"""The layers around the messages of one datagram: label, encryption, CRC, compression, compound.

Source: golden README sections 3.1, 3.2, 3.4 and reactions.jsonl; surface rows S5 to S12. From the outside in:
`label > encrypt > hasCrc > compress > compound > messages`, each optional; compress and compound may be nested, a CRC
only stands directly below encryption. May be changed: limits, within what peers send. Must not: order, bytes, and that
sizes are checked before anything is allocated.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from meshagent.agent.gossip import lzw
from meshagent.agent.gossip.drops import Drop, Dropped
from meshagent.agent.gossip.fields import Fields, pack, raw, read_map, u8
from meshagent.agent.gossip.messages import MessageType
from meshagent.agent.gossip.seal import NoKeys, Seal
from meshagent.errors import RemoteProtocolError

__all__ = [
    "COMPOUND_HEAD_BYTES",
    "COMPOUND_PART_BYTES",
    "COMPRESS_KEYS",
    "MAX_LABEL_BYTES",
    "PACKET_BYTES",
    "PacketCodec",
    "compress",
    "decompress",
    "decompress_fields",
    "encode_compound",
]

#: memberlist's UDPBufferSize: what a packet may hold in all, below every usual MTU.
PACKET_BYTES = 1400
COMPOUND_HEAD_BYTES = 2
COMPOUND_PART_BYTES = 2
MAX_LABEL_BYTES = 255
_CRC_BYTES = 5
_MAX_PARTS = 255
#: What one datagram may inflate to in all: the largest datagram there is. Peers fill 1400 bytes before they compress.
_MAX_INFLATED_BYTES = 65536
#: compress in compound in compress ...: nobody sends more than one of each.
_MAX_DEPTH = 8

COMPRESS_KEYS = (b"Algo", b"Buf")
_LZW = 0


def encode_compound(parts: Sequence[bytes]) -> bytes:
    """1 to 255 messages, each of at most 65535 bytes, as one."""
    lengths = b"".join([len(part).to_bytes(2, "big") for part in parts])
    return bytes((MessageType.COMPOUND, len(parts))) + lengths + b"".join(parts)


def compress(data: bytes) -> bytes:
    """The compress message of `data`."""
    return b"\x09" + pack({b"Algo": _LZW, b"Buf": lzw.compress(data)})


def decompress(body: bytes, limit: int) -> bytes:
    """What the compress message with that body holds, at most `limit` bytes. Raises RemoteProtocolError."""
    return decompress_fields(read_map(body, COMPRESS_KEYS), limit)


def decompress_fields(fields: Fields, limit: int) -> bytes:
    """The same, of a message whose map has been read."""
    if u8(fields, b"Algo") != _LZW:
        raise Dropped(Drop.MALFORMED, "an unknown compression")
    return lzw.decompress(raw(fields, b"Buf"), limit)


class PacketCodec:
    """The layers of one pool.

    `verify_incoming` False takes plain packets in a pool with keys, `verify_outgoing` False sends them: for moving a
    pool to encryption and back. `compression` tries every packet and keeps what is shorter.
    """

    def __init__(
        self,
        seal: Seal | None = None,
        *,
        label: str = "",
        compression: bool = False,
        verify_incoming: bool = True,
        verify_outgoing: bool = True,
    ) -> None:
        self.seal = seal or Seal(NoKeys(), bytes)
        self.label = label.encode()
        if len(self.label) > MAX_LABEL_BYTES:
            raise ValueError(f"label: {len(self.label)} bytes, more than {MAX_LABEL_BYTES}")
        self.label_header = bytes((MessageType.HAS_LABEL, len(self.label))) + self.label if self.label else b""
        self.compression = compression
        self.verify_incoming = verify_incoming
        self.verify_outgoing = verify_outgoing

    @property
    def sealing(self) -> bool:
        """Whether what we send is encrypted."""
        return self.verify_outgoing and self.seal.enabled

    @property
    def opening(self) -> bool:
        """Whether we have keys to open with."""
        return self.seal.enabled

    def room(self) -> int:
        """Bytes of a packet that are left for a compound's parts (2 each besides)."""
        sealed = self.seal.overhead if self.sealing else 0
        return PACKET_BYTES - COMPOUND_HEAD_BYTES - _CRC_BYTES - len(self.label_header) - sealed

    def encode(self, messages: Sequence[bytes], *, crc: bool = False) -> list[bytes]:
        """Datagrams that hold `messages`: one, or more if there are over 255."""
        if len(messages) == 1:
            return [self._wrap(messages[0], crc)]
        return [
            self._wrap(encode_compound(messages[start : start + _MAX_PARTS]), crc)
            for start in range(0, len(messages), _MAX_PARTS)
        ]

    def _wrap(self, data: bytes, crc: bool) -> bytes:
        if self.compression:
            shorter = compress(data)
            if len(shorter) < len(data):
                data = shorter
        if crc:
            data = b"\x0c" + zlib.crc32(data).to_bytes(4, "big") + data
        if self.sealing:
            data = self.seal.seal(data, self.label)
        return self.label_header + data if self.label_header else data

    def decode(self, packet: bytes) -> tuple[list[bytes], int]:
        """The messages of a datagram, innermost, and how many of its parts were cut short.

        Raises RemoteProtocolError; a bad nested part drops only itself and is in the count.
        """
        data = self._unlabel(packet)
        if self.opening:
            try:
                data = self.seal.open(data, self.label)
            except Dropped:
                if self.verify_incoming:
                    raise
        if not data:
            raise Dropped(Drop.MALFORMED, "an empty packet")
        if data[0] == MessageType.HAS_CRC:
            if len(data) < 6 or zlib.crc32(data[5:]) != int.from_bytes(data[1:5], "big"):
                raise Dropped(Drop.CHECKSUM, "the checksum is wrong")
            data = data[5:]
        first = data[0]
        if first != MessageType.COMPOUND and first != MessageType.COMPRESS:
            return [data], 0
        out: list[bytes] = []
        return out, _unfold(data, out, _MAX_DEPTH, [_MAX_INFLATED_BYTES])

    def _unlabel(self, packet: bytes) -> bytes:
        header = self.label_header
        if header:
            if not packet.startswith(header):
                raise Dropped(Drop.LABEL, "not the label of this pool")
            return packet[len(header) :]
        if packet[:1] == b"\xf4":
            raise Dropped(Drop.LABEL, "a label in a pool that has none")
        return packet


def _unfold(data: bytes, out: list[bytes], depth: int, budget: list[int]) -> int:
    """Put the messages in `data` into `out`; `budget` is what may still be inflated. Returns how many were dropped."""
    if not data:
        return 1
    if data[0] == MessageType.COMPRESS:
        if depth == 0:
            raise Dropped(Drop.TOO_LARGE, "nested too deep")
        inflated = decompress(data[1:], budget[0])
        budget[0] -= len(inflated)
        return _unfold(inflated, out, depth - 1, budget)
    if data[0] != MessageType.COMPOUND:
        out.append(data)
        return 0
    if depth == 0:
        raise Dropped(Drop.TOO_LARGE, "nested too deep")
    count = data[1] if len(data) > 1 else 0
    at = COMPOUND_HEAD_BYTES + COMPOUND_PART_BYTES * count
    if not count or len(data) < at:
        raise Dropped(Drop.MALFORMED, "a compound without its lengths")
    dropped = 0
    for index in range(count):
        head = COMPOUND_HEAD_BYTES + COMPOUND_PART_BYTES * index
        end = at + int.from_bytes(data[head : head + 2], "big")
        if end > len(data):
            return dropped + count - index
        first = data[at] if end > at else -1
        if first in (MessageType.COMPOUND, MessageType.COMPRESS):
            try:
                dropped += _unfold(data[at:end], out, depth - 1, budget)
            except RemoteProtocolError:
                dropped += 1
        elif first >= 0:
            out.append(data[at:end])
        else:
            dropped += 1
        at = end
    return dropped
