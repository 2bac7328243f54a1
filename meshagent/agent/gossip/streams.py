"""The layers and messages of a TCP stream: label, encryption, compression, then one message a direction.

Source: golden README sections 3.3 to 3.5 and 5, reactions.jsonl; surface rows S11, S13, S14. From the outside in:
`label > stream-encrypt > compress > message`. Only the side that dials writes the label header, but the label is in the
additional data of both. There is no framing but what the message says of itself: `StreamReader` takes bytes as they
come and says when one message is whole. Every size a peer names is checked before anything is kept for it.
"""

from __future__ import annotations

from typing import Any

import msgpack
import msgspec

from meshagent.agent.gossip.drops import Drop, Dropped
from meshagent.agent.gossip.fields import Fields, as_map, flag, i64, pack, signed, text, unpacker
from meshagent.agent.gossip.messages import (
    ACK_KEYS,
    ERROR_KEYS,
    PING_KEYS,
    Ack,
    MessageType,
    Ping,
    ack_from,
    encode_ack,
    encode_error,
    encode_ping,
    node_from,
    ping_from,
)
from meshagent.agent.gossip.node import Node, NodeState
from meshagent.agent.gossip.packet import COMPRESS_KEYS, PacketCodec, compress, decompress_fields
from meshagent.errors import RemoteProtocolError

__all__ = [
    "MAX_NODES",
    "MAX_USER_STATE_BYTES",
    "PushPull",
    "StreamCodec",
    "StreamError",
    "StreamMessage",
    "StreamReader",
    "UserData",
    "encode_stream_message",
]

MAX_NODES = 1 << 20  # golden README section 5
MAX_USER_STATE_BYTES = 20 << 20  # memberlist's maxPushStateBytes: user state, and the sealed part of a stream
MAX_INFLATED_BYTES = 40 << 20  # what current memberlist inflates of a stream
#: A plain stream in all: the most there can be of user state, and as much again for nodes (150,000 of them).
MAX_STREAM_BYTES = 2 * MAX_USER_STATE_BYTES
_SEALED_HEAD = 5
_NESTED = 4  # compress in compress: nobody sends it, peers take it

_HEADER = (b"Nodes", b"UserStateLen", b"Join")
_NODE = (b"Name", b"Addr", b"Port", b"Meta", b"Incarnation", b"State", b"Vsn")
_USER_HEADER = (b"UserMsgLen",)


class PushPull(msgspec.Struct, frozen=True):
    """All that one side knows; `join` on the first exchange of a node with a pool, echoed in the answer."""

    join: bool
    nodes: tuple[Node, ...]
    user_state: bytes


class UserData(msgspec.Struct, frozen=True):
    """A user message that must arrive."""

    payload: bytes


class StreamError(msgspec.Struct, frozen=True):
    """Sent in place of an answer: what we said could not be read."""

    error: str


StreamMessage = PushPull | UserData | StreamError | Ping | Ack


def encode_node(node: Node) -> bytes:
    """One node of a push/pull."""
    return pack(
        {
            b"Addr": node.addr,
            b"Incarnation": node.incarnation,
            b"Meta": node.meta or None,
            b"Name": node.name,
            b"Port": node.port,
            b"State": int(node.state),
            b"Vsn": node.versions,
        }
    )


def encode_stream_message(message: StreamMessage) -> bytes:
    """The innermost bytes. Signed integers are written as current peers do."""
    if isinstance(message, PushPull):
        join = b"\xc3" if message.join else b"\xc2"
        header = b"\x06\x83\xa4Join" + join + b"\xa5Nodes" + signed(len(message.nodes))
        header += b"\xacUserStateLen" + signed(len(message.user_state))
        return b"".join((header, *map(encode_node, message.nodes), message.user_state))
    if isinstance(message, UserData):
        return b"\x08\x81\xaaUserMsgLen" + signed(len(message.payload)) + message.payload
    if isinstance(message, Ping):
        return encode_ping(message)
    if isinstance(message, Ack):
        return encode_ack(message)
    return encode_error(message.error)


class StreamCodec:
    """Streams of one pool; keys, label and switches are those of its packets."""

    def __init__(self, packets: PacketCodec) -> None:
        self.packets = packets

    def encode(self, message: StreamMessage, *, dialling: bool) -> bytes:
        """All that one side says on a stream."""
        packets = self.packets
        data = encode_stream_message(message)
        if packets.compression:
            data = compress(data)
        if packets.sealing:
            head = b"\x0a" + packets.seal.sealed_size(len(data)).to_bytes(4, "big")
            data = head + packets.seal.seal(data, head + packets.label)
        return packets.label_header + data if dialling else data

    def reader(self, *, dialled: bool) -> StreamReader:
        """For what the other side says: `dialled` if it dialled us, so that a label header is due."""
        return StreamReader(self.packets, labelled=dialled)


class StreamReader:
    """Takes the bytes of a stream as they come; gives its message when it is whole, and then ignores the rest."""

    def __init__(self, packets: PacketCodec, *, labelled: bool) -> None:
        self._packets = packets
        self._labelled = labelled
        self._buffer = bytearray()
        self._body: _Body | None = None
        self._done = False
        self.received = 0

    def feed(self, data: bytes) -> StreamMessage | None:
        """Take more bytes. Raises RemoteProtocolError: it can become nothing that the wire allows."""
        if self._done:
            return None
        self.received += len(data)
        if self.received > MAX_STREAM_BYTES:
            raise Dropped(Drop.TOO_LARGE, f"a stream of more than {MAX_STREAM_BYTES} bytes")
        message = self._advance(data)
        self._done = message is not None
        return message

    def _advance(self, data: bytes) -> StreamMessage | None:
        if self._body is not None:
            return self._body.feed(data)
        self._buffer += data
        if self._labelled and not self._strip_label():
            return None
        if not self._buffer:
            return None
        if self._buffer[0] == MessageType.ENCRYPT:
            return self._sealed()
        if self._packets.opening and self._packets.verify_incoming:
            raise Dropped(Drop.PLAIN, "encryption is configured but remote state is not encrypted")
        self._body = _Body(_NESTED)
        plain, self._buffer = bytes(self._buffer), bytearray()
        return self._body.feed(plain)

    def _strip_label(self) -> bool:
        header = self._packets.label_header
        start = bytes(self._buffer[: max(1, len(header))])
        if not header:
            if start == b"\xf4":
                raise Dropped(Drop.LABEL, "a label in a pool that has none")
            self._labelled = False
            return True
        if not header.startswith(start):
            raise Dropped(Drop.LABEL, "not the label of this pool")
        if len(start) < len(header):
            return False
        del self._buffer[: len(header)]
        self._labelled = False
        return True

    def _sealed(self) -> StreamMessage | None:
        if not self._packets.opening:
            raise Dropped(Drop.SEALED, "remote state is encrypted and encryption is not configured")
        if len(self._buffer) < _SEALED_HEAD:
            return None
        size = int.from_bytes(self._buffer[1:_SEALED_HEAD], "big")
        if size > MAX_USER_STATE_BYTES:
            raise Dropped(Drop.TOO_LARGE, f"remote node state is larger than limit ({size})")
        if len(self._buffer) < _SEALED_HEAD + size:
            return None
        head = bytes(self._buffer[:_SEALED_HEAD])
        sealed = bytes(self._buffer[_SEALED_HEAD : _SEALED_HEAD + size])
        self._buffer.clear()
        return _whole(self._packets.seal.open(sealed, head + self._packets.label), _NESTED)


def _whole(plain: bytes, nested: int) -> StreamMessage:
    """The message that `plain` holds. Raises RemoteProtocolError: it ends too early, or holds another thing."""
    message = _Body(nested).feed(plain)
    if message is None:
        raise Dropped(Drop.MALFORMED, "the message ends too early")
    return message


class _Body:
    """Reads one message below encryption."""

    def __init__(self, nested: int) -> None:
        self._nested = nested
        self._type = -1
        self._unpacker = unpacker(max(MAX_STREAM_BYTES, MAX_INFLATED_BYTES))
        self._header: Fields | None = None
        self._nodes: list[Node] = []
        self._rest: bytearray | None = None

    def feed(self, data: bytes) -> StreamMessage | None:
        if self._type < 0:
            if not data:
                return None
            self._type = data[0]
            data = data[1:]
            if self._type not in _KEYS:
                raise Dropped(Drop.UNKNOWN_TYPE, f"a stream of type {self._type}")
        if self._rest is not None:
            self._rest += data
        else:
            try:
                self._unpacker.feed(data)
            except msgpack.BufferFull:
                raise Dropped(Drop.TOO_LARGE, "a stream that is too long") from None
        if self._header is None:
            value = self._value()
            if value is _MORE:
                return None
            self._header = as_map(value, _KEYS[self._type])
        return self._message(self._header)

    def _message(self, header: Fields) -> StreamMessage | None:
        if self._type == MessageType.PUSH_PULL:
            return self._push_pull(header)
        if self._type == MessageType.USER:
            payload = self._bytes(_bounded(header, b"UserMsgLen", MAX_USER_STATE_BYTES))
            return None if payload is None else UserData(payload)
        if self._type == MessageType.PING:
            return ping_from(header)
        if self._type == MessageType.ACK:
            return ack_from(header)
        if self._type == MessageType.ERR:
            return StreamError(text(header, b"Error"))
        if self._nested == 0:
            raise Dropped(Drop.TOO_LARGE, "nested too deep")
        return _whole(decompress_fields(header, MAX_INFLATED_BYTES), self._nested - 1)

    def _push_pull(self, header: Fields) -> StreamMessage | None:
        count = _bounded(header, b"Nodes", MAX_NODES)
        size = _bounded(header, b"UserStateLen", MAX_USER_STATE_BYTES)
        while len(self._nodes) < count:
            value = self._value()
            if value is _MORE:
                return None
            fields = as_map(value, _NODE)
            self._nodes.append(node_from(fields, b"Name", _state(fields)))
        state = self._bytes(size)
        return None if state is None else PushPull(flag(header, b"Join"), tuple(self._nodes), state)

    def _value(self) -> Any:
        """The next msgpack value, or `_MORE`. Raises RemoteProtocolError."""
        try:
            return self._unpacker.unpack()
        except msgpack.OutOfData:
            return _MORE
        except (ValueError, TypeError, OverflowError, msgpack.UnpackException, RecursionError) as error:
            raise RemoteProtocolError(f"msgpack: {error}") from None

    def _bytes(self, size: int) -> bytes | None:
        """`size` bytes that follow the values, once they are there."""
        if self._rest is None:
            self._rest = bytearray(self._unpacker.read_bytes(MAX_STREAM_BYTES + MAX_INFLATED_BYTES))
        return bytes(self._rest[:size]) if len(self._rest) >= size else None


#: What may begin a stream, with the keys of its map in Go's order.
_KEYS: dict[int, tuple[bytes, ...]] = {
    MessageType.PUSH_PULL: _HEADER,
    MessageType.USER: _USER_HEADER,
    MessageType.PING: PING_KEYS,
    MessageType.ACK: ACK_KEYS,
    MessageType.ERR: ERROR_KEYS,
    MessageType.COMPRESS: COMPRESS_KEYS,
}

_MORE = object()


def _bounded(header: Fields, key: bytes, limit: int) -> int:
    value = i64(header, key)
    if not 0 <= value <= limit:
        raise Dropped(Drop.TOO_LARGE, f"{key.decode()}: {value} is not within 0 and {limit}")
    return value


def _state(fields: Fields) -> NodeState:
    try:
        return NodeState(i64(fields, b"State"))
    except ValueError:
        raise RemoteProtocolError(f"State: {fields.get(b'State')} is not a state") from None
