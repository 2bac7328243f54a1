"""What client agents and servers say to each other on the RPC port: methods and their payloads.

Source: ours (README.md beside this file has the table). Payloads are msgpack arrays. A watch is a question; its answers
come on the feed of the connection, each `[sub, change]`, where a change carries a whole body or what replaces the
middle of the one before.

What may be changed: names of methods, tags and layouts are on the wire: append-only, fields with a default. Limits may
grow.
"""

from __future__ import annotations

from typing import TypeAlias, TypeVar

import msgspec

from meshagent.errors import RemoteProtocolError

__all__ = [
    "FEED",
    "HTTP",
    "HTTP_STREAM",
    "HTTP_UPLOAD",
    "MAX_QUESTION_CHARS",
    "MAX_WATCHES",
    "REGISTER",
    "ROWS",
    "SYNC",
    "UNWATCH",
    "WATCH",
    "Answered",
    "Change",
    "Failure",
    "Forwarded",
    "Once",
    "Part",
    "Piece",
    "Question",
    "Standing",
    "Unchanged",
    "Unwatch",
    "Watch",
    "WatchBatch",
    "Write",
    "decode",
    "decode_piece",
    "decode_writes",
    "encode",
]

#: Methods, since 0.1.
HTTP = "http"
HTTP_STREAM = "http-stream"
HTTP_UPLOAD = "http-upload"
FEED = "feed"
WATCH = "watch"
UNWATCH = "unwatch"
SYNC = "sync"
ROWS = "rows"
REGISTER = "register"

#: Watches in one request, and of one feed.
MAX_BATCH = 512
MAX_WATCHES = 16_384
#: Longest target of a question: what a URL may have.
MAX_QUESTION_CHARS = 64 * 1024

T = TypeVar("T")


class Forwarded(msgspec.Struct, frozen=True, array_like=True):  # since 0.1
    """An HTTP request that another agent is to answer. `remote` is the caller's IP address.

    `write_id` is the same on every attempt, so that what it writes is applied once.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    remote: str = ""
    write_id: bytes = b""


class Part(msgspec.Struct, frozen=True, array_like=True):  # since 0.1
    """Some of the body of a request, in order; the first has the request itself. `upload` is its name."""

    upload: bytes
    forwarded: Forwarded | None
    piece: bytes = b""
    last: bool = False


class Answered(msgspec.Struct, frozen=True, array_like=True):  # since 0.1
    """Its answer: `head` is the status line and header lines with Content-Length, without what every answer has."""

    status: int
    head: bytes
    body: bytes
    close: bool = False


class Question(msgspec.Struct, frozen=True, array_like=True):  # since 0.1
    """What is asked: kind "http" and a request target, or a kind of `questions.py` and a name."""

    kind: str
    target: str
    remote: str = ""
    token: str = ""


class Watch(msgspec.Struct, frozen=True, array_like=True):  # since 0.1
    """Follow a question under the number `sub`. `index` and `digest` tell the answer that is already held."""

    sub: int
    question: Question
    index: int = 0
    digest: bytes = b""


class WatchBatch(msgspec.Struct, frozen=True, array_like=True):  # since 0.1
    """Watches for the feed with that name."""

    feed: bytes
    watches: tuple[Watch, ...]


class Unwatch(msgspec.Struct, frozen=True, array_like=True):  # since 0.1
    """End them."""

    feed: bytes
    subs: tuple[int, ...]


class Once(msgspec.Struct, frozen=True, array_like=True):  # since 0.1
    """Answer a question of `questions.py` once; `current`: as a default read."""

    question: Question
    current: bool = True


class Change(msgspec.Struct, frozen=True, array_like=True, tag=1):  # since 0.1
    """An answer: the first `prefix` bytes of the body numbered `base`, `body`, and its last `suffix` bytes.

    `base` 0: `body` is all of it. `bare`: the answer has no headers that tell of consistency.
    """

    version: int
    base: int
    index: int
    status: int = 200
    content_type: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    prefix: int = 0
    suffix: int = 0
    body: bytes = b""
    bare: bool = False


class Failure(msgspec.Struct, frozen=True, array_like=True, tag=2):  # since 0.1
    """The question is refused; `code` as in `catalog/rpc/error_codes.py`. The watch stays, and may succeed."""

    code: int
    message: str


class Standing(msgspec.Struct, frozen=True, array_like=True, tag=3):  # since 0.1
    """How it stands with the server: RPC address of the leader it knows ("": none), milliseconds since it was heard;
    whether it denies connections of the mesh that no intention speaks of."""

    leader: str
    last_contact_ms: int
    denies: bool = False


class Unchanged(msgspec.Struct, frozen=True, array_like=True, tag=4):  # since 0.1
    """The answer that is held is right, and has this number from now on; or only its index moved."""

    version: int
    index: int


Said: TypeAlias = Change | Failure | Standing | Unchanged
#: (sub, what is said of it); sub 0 is the server itself.
Piece: TypeAlias = list[tuple[int, Said]]
#: (id, token, command)
Write: TypeAlias = tuple[bytes, str, bytes]

_encoder = msgspec.msgpack.Encoder()
_pieces = msgspec.msgpack.Decoder(Piece)
_writes = msgspec.msgpack.Decoder(list[Write])
_decoders: dict[type, msgspec.msgpack.Decoder[object]] = {}


def encode(message: object) -> bytes:
    """The payload of a message of this module, or of values."""
    return _encoder.encode(message)


def decode(kind: type[T], payload: bytes) -> T:
    """A message of `kind`. Raises RemoteProtocolError: not one, or one larger than anybody sends."""
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.msgpack.Decoder(kind)
    message = _checked(decoder, payload)
    if isinstance(message, WatchBatch):
        if len(message.watches) > MAX_BATCH:
            raise RemoteProtocolError(f"{len(message.watches)} watches in one request: the limit is {MAX_BATCH}")
        for watch in message.watches:
            _check_question(watch.question)
    elif isinstance(message, Once):
        _check_question(message.question)
    return message  # type: ignore[return-value]


def decode_piece(payload: bytes) -> Piece:
    """What a feed says. Raises RemoteProtocolError."""
    return _checked(_pieces, payload)


def decode_writes(payload: bytes) -> list[Write]:
    """The payload of `register`. Raises RemoteProtocolError."""
    writes = _checked(_writes, payload)
    if len(writes) > MAX_BATCH:
        raise RemoteProtocolError(f"{len(writes)} writes in one request: the limit is {MAX_BATCH}")
    return writes


def _checked(decoder: msgspec.msgpack.Decoder[T], payload: bytes) -> T:
    try:
        return decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise RemoteProtocolError(f"a message does not decode: {error}") from error


def _check_question(question: Question) -> None:
    if len(question.target) > MAX_QUESTION_CHARS:
        raise RemoteProtocolError(
            f"a question has {len(question.target)} characters: the limit is {MAX_QUESTION_CHARS}"
        )
