"""What servers say to each other about the log: one struct for each kind, and their bytes.

Source: Ongaro, "Consensus: Bridging Theory and Practice" (2014), sections 3, 4.2 (membership), 6.4 (reads), 9.6
(pre-vote); the form is ours: msgpack arrays that begin with the tag.

Every message carries `term` (the sender's, or for `PreVote` the one it would begin) and `epoch`: the number of the
connection on which the asking server sent. An answer repeats the `epoch` of what it answers, so that an answer to
something said on an earlier connection is known by it and dropped.

`address` is where the sender can be reached: who does not belong to the cluster yet learns from it whom to answer.
`incarnation` is that of the sender's data directory: an answer counts only if the configuration names the same one.

What may be changed: tags are append-only and fields are appended with defaults; both are on the wire between versions.
"""

from __future__ import annotations

import msgspec

from meshagent.catalog.raft.records import Entry
from meshagent.errors import LocalProtocolError, RemoteProtocolError

__all__ = [
    "MAX_MESSAGE_BYTES",
    "AppendEntries",
    "AppendReply",
    "InstallSnapshot",
    "Message",
    "PreVote",
    "RequestVote",
    "SnapshotReply",
    "TimeoutNow",
    "VoteReply",
    "decode_message",
    "encode_message",
]

MAX_MESSAGE_BYTES = 72 << 20  # one entry of the largest size that a segment takes (64 MiB), and room to spare
MAX_ENTRIES = 1 << 16
MAX_NUMBER = (1 << 62) - 1
MAX_NAME = 255
MAX_ADDRESS = 300


class Message(msgspec.Struct, frozen=True, array_like=True):
    sender: str
    term: int
    epoch: int


class RequestVote(Message, frozen=True, array_like=True, tag=1):
    """Vote for me in `term`. `transfer`: the leader itself asked for this election."""

    last_index: int
    last_term: int
    transfer: bool = False
    address: str = ""


class PreVote(Message, frozen=True, array_like=True, tag=2):
    """Would you vote for me in `term`? Changes nothing on the server that is asked."""

    last_index: int
    last_term: int
    address: str = ""


class VoteReply(Message, frozen=True, array_like=True, tag=3):
    """To both: `asked` is the term that was asked for, `pre` says which of the two it was. `removed`: I lead, and who
    asks does not belong to the cluster any more."""

    asked: int
    granted: bool
    pre: bool
    removed: bool = False
    incarnation: int = 0


class AppendEntries(Message, frozen=True, array_like=True, tag=4):
    """The entries behind (`prev_index`, `prev_term`), and that all up to `commit` is committed; without entries, a sign
    of life. `round` numbers the leader's signs of life."""

    round: int
    prev_index: int
    prev_term: int
    commit: int
    entries: list[Entry]
    address: str = ""


class AppendReply(Message, frozen=True, array_like=True, tag=5):
    """`success`: my log up to `index` is yours, and on disk. Otherwise: try again from `index` on."""

    round: int
    success: bool
    index: int
    incarnation: int = 0


class InstallSnapshot(Message, frozen=True, array_like=True, tag=6):
    """Chunk number `chunk` of the state behind entry (`index`, `last_term`). `done`: it was the last."""

    index: int
    last_term: int
    chunk: int
    data: bytes
    done: bool


class SnapshotReply(Message, frozen=True, array_like=True, tag=7):
    """Of the snapshot at `index`, `chunk` is wanted next; `done`: none, it is installed and on disk."""

    index: int
    chunk: int
    done: bool
    incarnation: int = 0


class TimeoutNow(Message, frozen=True, array_like=True, tag=8):
    """Seek election at once: the leader hands over."""


AnyMessage = (
    RequestVote | PreVote | VoteReply | AppendEntries | AppendReply | InstallSnapshot | SnapshotReply | TimeoutNow
)

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(AnyMessage)
_NUMBERS = ("term", "epoch", "last_index", "last_term", "asked", "round", "prev_index", "prev_term", "commit", "index",
            "incarnation")  # fmt: skip
_CHECKED: dict[type[Message], tuple[str, ...]] = {
    cls: tuple(name for name in (*_NUMBERS, "chunk") if name in cls.__struct_fields__)
    for cls in (
        RequestVote, PreVote, VoteReply, AppendEntries, AppendReply, InstallSnapshot, SnapshotReply, TimeoutNow,
    )
}  # fmt: skip


def encode_message(message: Message) -> bytes:
    """Raises LocalProtocolError when it is longer than a peer takes."""
    data = _encoder.encode(message)
    if len(data) > MAX_MESSAGE_BYTES:
        raise LocalProtocolError(f"a Raft message of {len(data)} bytes, the limit is {MAX_MESSAGE_BYTES}")
    return data


def decode_message(data: bytes | memoryview) -> Message:
    """Raises RemoteProtocolError: not a message, or one whose numbers contradict each other."""
    if len(data) > MAX_MESSAGE_BYTES:
        raise RemoteProtocolError(f"Raft message of {len(data)} bytes, the limit is {MAX_MESSAGE_BYTES}")
    try:
        message: Message = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError(f"Raft message does not decode: {error}") from error
    if not 0 < len(message.sender) <= MAX_NAME:
        raise RemoteProtocolError("Raft message without a sender")
    if len(getattr(message, "address", "")) > MAX_ADDRESS:
        raise RemoteProtocolError(f"Raft message {type(message).__name__}: address is too long")
    for name in _CHECKED[type(message)]:
        if not 0 <= getattr(message, name) <= MAX_NUMBER:
            raise RemoteProtocolError(f"Raft message {type(message).__name__}: {name} is out of range")
    if isinstance(message, AppendEntries):
        _check_entries(message)
    return message


def _check_entries(message: AppendEntries) -> None:
    if len(message.entries) > MAX_ENTRIES:
        raise RemoteProtocolError(f"AppendEntries with {len(message.entries)} entries, the limit is {MAX_ENTRIES}")
    index, term = message.prev_index, message.prev_term
    for payload, entry_index, entry_term in message.entries:
        index += 1
        if entry_index != index or not term <= entry_term <= message.term or not payload:
            raise RemoteProtocolError(f"AppendEntries: entry {entry_index} of term {entry_term} is out of order")
        term = entry_term
