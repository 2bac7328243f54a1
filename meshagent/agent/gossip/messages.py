"""memberlist's messages: numbers, values, bytes.

Source: golden README sections 2, 4 and 5; surface rows S2 to S4. A message is its number in one byte and one msgpack
map with the Go field names in byte order. `encode_*` gives number and map; `decode_*` takes the map's bytes. Numbers
and field names are the wire's: append-only. An `alive` and a node of a push/pull are both read as a `Node`.
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache

import msgspec

from meshagent.agent.gossip.drops import Drop, Dropped
from meshagent.agent.gossip.fields import Fields, flag, pack, raw, read_map, text, u16, u32
from meshagent.agent.gossip.node import Address, Node, NodeState, format_ip, parse_ip

__all__ = [
    "ACK_KEYS",
    "ERROR_KEYS",
    "MAX_META_BYTES",
    "PING_KEYS",
    "Ack",
    "Dead",
    "IndirectPing",
    "MessageType",
    "Ping",
    "Suspect",
    "ack_from",
    "decode_ack",
    "decode_alive",
    "decode_dead",
    "decode_error",
    "decode_indirect_ping",
    "decode_nack",
    "decode_ping",
    "decode_suspect",
    "encode_ack",
    "encode_alive",
    "encode_dead",
    "encode_error",
    "encode_indirect_ping",
    "encode_nack",
    "encode_ping",
    "encode_suspect",
    "node_from",
    "ping_from",
]

#: memberlist's MetaMaxSize.
MAX_META_BYTES = 512


class MessageType(IntEnum):
    """First byte of a message; NACK came with protocol 4, HAS_CRC with 5."""

    PING = 0
    INDIRECT_PING = 1
    ACK = 2
    SUSPECT = 3
    ALIVE = 4
    DEAD = 5
    PUSH_PULL = 6
    COMPOUND = 7
    USER = 8
    COMPRESS = 9
    ENCRYPT = 10
    NACK = 11
    HAS_CRC = 12
    ERR = 13
    HAS_LABEL = 244


class Ping(msgspec.Struct, frozen=True):
    """Are you there? `node` is who is meant, empty for whoever listens; the source may be unknown (older peers)."""

    seq_no: int
    node: str
    source: Address | None = None
    source_node: str = ""


class IndirectPing(msgspec.Struct, frozen=True):
    """Ask `node` at `target` for me; `nack` asks to be told, too, when it does not answer you. Port 0: as yours."""

    seq_no: int
    target: Address
    node: str
    nack: bool
    source: Address | None = None
    source_node: str = ""


class Ack(msgspec.Struct, frozen=True):
    seq_no: int
    payload: bytes = b""


class Suspect(msgspec.Struct, frozen=True):
    """`sender` could not reach `node`, which it knows with that incarnation."""

    incarnation: int
    node: str
    sender: str


class Dead(msgspec.Struct, frozen=True):
    """`sender` takes `node` for dead; if they are the same, it has left."""

    incarnation: int
    node: str
    sender: str


# Keys in Go's order of declaration: see `fields.read_map`.
PING_KEYS = (b"SeqNo", b"Node", b"SourceAddr", b"SourcePort", b"SourceNode")
_INDIRECT = (b"SeqNo", b"Target", b"Port", b"Node", b"Nack", b"SourceAddr", b"SourcePort", b"SourceNode")
ACK_KEYS = (b"SeqNo", b"Payload")
_NACK = (b"SeqNo",)
ERROR_KEYS = (b"Error",)
_SUSPECT = (b"Incarnation", b"Node", b"From")
_ALIVE = (b"Incarnation", b"Node", b"Addr", b"Port", b"Meta", b"Vsn")


def _source(fields: Fields) -> Address | None:
    addr, port = raw(fields, b"SourceAddr"), u16(fields, b"SourcePort")
    if not addr or not port:
        return None
    return (_ip(addr), port)


def _ip(addr: bytes) -> str:
    try:
        return format_ip(addr)
    except ValueError:
        raise Dropped(Drop.ADDRESS, f"an address of {len(addr)} bytes") from None


def decode_ping(body: bytes) -> Ping:
    """Raises RemoteProtocolError, as all that decode."""
    return ping_from(read_map(body, PING_KEYS))


def ping_from(fields: Fields) -> Ping:
    return Ping(u32(fields, b"SeqNo"), text(fields, b"Node"), _source(fields), text(fields, b"SourceNode"))


def encode_ping(ping: Ping) -> bytes:
    fields: dict[bytes, object] = {b"Node": ping.node, b"SeqNo": ping.seq_no}
    _put_source(fields, ping.source, ping.source_node)
    return b"\x00" + pack(fields)


def _put_source(fields: dict[bytes, object], source: Address | None, name: str) -> None:
    if source is not None:
        fields[b"SourceAddr"] = parse_ip(source[0])
    if name:
        fields[b"SourceNode"] = name
    if source is not None:
        fields[b"SourcePort"] = source[1]


def decode_indirect_ping(body: bytes) -> IndirectPing:
    fields = read_map(body, _INDIRECT)
    return IndirectPing(
        u32(fields, b"SeqNo"),
        (_ip(raw(fields, b"Target")), u16(fields, b"Port")),
        text(fields, b"Node"),
        flag(fields, b"Nack"),
        _source(fields),
        text(fields, b"SourceNode"),
    )


def encode_indirect_ping(ping: IndirectPing) -> bytes:
    fields: dict[bytes, object] = {
        b"Nack": ping.nack,
        b"Node": ping.node,
        b"Port": ping.target[1],
        b"SeqNo": ping.seq_no,
    }
    _put_source(fields, ping.source, ping.source_node)
    fields[b"Target"] = parse_ip(ping.target[0])
    return b"\x01" + pack(fields)


def decode_ack(body: bytes) -> Ack:
    return ack_from(read_map(body, ACK_KEYS))


def ack_from(fields: Fields) -> Ack:
    return Ack(u32(fields, b"SeqNo"), raw(fields, b"Payload"))


def encode_ack(ack: Ack) -> bytes:
    return b"\x02" + pack({b"Payload": ack.payload or None, b"SeqNo": ack.seq_no})


def decode_nack(body: bytes) -> int:
    """The sequence number."""
    return u32(read_map(body, _NACK), b"SeqNo")


def encode_nack(seq_no: int) -> bytes:
    return b"\x0b" + pack({b"SeqNo": seq_no})


def decode_error(body: bytes) -> str:
    return text(read_map(body, ERROR_KEYS), b"Error")


def encode_error(error: str) -> bytes:
    return b"\x0d" + pack({b"Error": error})


# The same news reaches a node many times, byte for byte: these three remember what they read last.


@lru_cache(maxsize=4096)
def decode_suspect(body: bytes) -> Suspect:
    fields = read_map(body, _SUSPECT)
    return Suspect(u32(fields, b"Incarnation"), text(fields, b"Node"), text(fields, b"From"))


def encode_suspect(suspect: Suspect) -> bytes:
    return b"\x03" + pack({b"From": suspect.sender, b"Incarnation": suspect.incarnation, b"Node": suspect.node})


@lru_cache(maxsize=4096)
def decode_dead(body: bytes) -> Dead:
    fields = read_map(body, _SUSPECT)
    return Dead(u32(fields, b"Incarnation"), text(fields, b"Node"), text(fields, b"From"))


def encode_dead(dead: Dead) -> bytes:
    return b"\x05" + pack({b"From": dead.sender, b"Incarnation": dead.incarnation, b"Node": dead.node})


@lru_cache(maxsize=4096)
def decode_alive(body: bytes) -> Node:
    """The node, with state ALIVE. Its versions are judged by the machine, as they may be empty here."""
    return node_from(read_map(body, _ALIVE), b"Node", NodeState.ALIVE)


def node_from(fields: Fields, name_key: bytes, state: NodeState) -> Node:
    """The node that the fields of an `alive` or of a push/pull describe. Raises RemoteProtocolError."""
    name = text(fields, name_key)
    addr, meta = raw(fields, b"Addr"), raw(fields, b"Meta")
    if not name:
        raise Dropped(Drop.MALFORMED, "a node without a name")
    if len(addr) not in (4, 16):
        raise Dropped(Drop.ADDRESS, f"{name}: an address of {len(addr)} bytes")
    if len(meta) > MAX_META_BYTES:
        raise Dropped(Drop.TOO_LARGE, f"{name}: {len(meta)} bytes of metadata, more than {MAX_META_BYTES}")
    return Node(name, addr, u16(fields, b"Port"), meta, raw(fields, b"Vsn"), u32(fields, b"Incarnation"), state)


def encode_alive(node: Node) -> bytes:
    return b"\x04" + pack(
        {
            b"Addr": node.addr,
            b"Incarnation": node.incarnation,
            b"Meta": node.meta or None,
            b"Node": node.name,
            b"Port": node.port,
            b"Vsn": node.versions,
        }
    )
