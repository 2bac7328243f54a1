"""The bytes between agents: frames, each a length and a msgpack array, and the reader that cuts them from a stream.

Source: ours (README.md beside this file has the table). A stream begins with `PREFACE`; then frames follow: four bytes
of length (big-endian, of what comes after), then `[type, field, ...]`. Limits are checked on the length alone, before
anything is kept.

What may be changed: type numbers are append-only and never reused (the comment names the release that added them);
fields are appended with a default, since an older peer ignores what it does not know. Anything else is a new protocol
version (`hello.py`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import msgspec

from meshagent.errors import LocalProtocolError, RemoteProtocolError

__all__ = [
    "LEAST_PIECE_BYTES",
    "MAX_CLIENT_FRAME_BYTES",
    "MAX_FRAME_BYTES",
    "MAX_HELLO_BYTES",
    "PREFACE",
    "Cancel",
    "Credit",
    "Error",
    "Frame",
    "FrameReader",
    "Goodbye",
    "Hello",
    "Ping",
    "Pong",
    "RaftMessage",
    "Request",
    "Response",
    "StreamData",
    "StreamEnd",
    "decode",
    "encode",
    "weight",
]

#: First bytes of a connection, in each direction. The first tells it from TLS (0x16) and HTTP.
PREFACE = b"MSH1"
#: Largest frame: the largest Raft message (`raft/messages.py`, 72 MiB: one entry as large as a segment of the journal)
#: and what wraps it. What is usual has 1 MiB at most.
MAX_FRAME_BYTES = 73 << 20
#: Largest frame of a peer that is no server: a batch of writes (`kv_max_value_size` is 512 KiB unless raised).
MAX_CLIENT_FRAME_BYTES = 16 << 20
#: Largest frame of a peer that has not been accepted yet: five names, at most 255 bytes each, and numbers.
MAX_HELLO_BYTES = 2048
#: A piece of a stream counts as at least so many bytes in a window.
LEAST_PIECE_BYTES = 256
#: Longest message of an error; the rest is cut off.
MAX_ERROR_CHARS = 4096

_LENGTH = struct.Struct(">I")


class Hello(msgspec.Struct, frozen=True, array_like=True, tag=1):  # since 0.1
    """The first frame of either side. Speaks protocol versions `oldest` to `newest`.

    `cluster_id` is "" for a server that belongs to no cluster yet; `role` is "server" or "client". `epoch` counts the
    connections of the one who dialled; the one who was dialled says 0.
    """

    oldest: int
    newest: int
    cluster_id: str
    datacenter: str
    node_id: str
    node_name: str
    role: str
    epoch: int


class Request(msgspec.Struct, frozen=True, array_like=True, tag=2):  # since 0.1
    """Ask for `method`; `id` is the asker's, unique on the connection. The asker waits `timeout_ms` for the answer.

    `window` (since protocol version 2): of a longer answer so many bytes (`weight`) may be on their way and unread, and
    the piece that goes beyond; 0: as many as there are.
    """

    id: int
    method: str
    timeout_ms: int
    payload: bytes
    window: int = 0


class Response(msgspec.Struct, frozen=True, array_like=True, tag=3):  # since 0.1
    """The answer of request `id`."""

    id: int
    payload: bytes


class Error(msgspec.Struct, frozen=True, array_like=True, tag=4):  # since 0.1
    """Request `id` failed; `code` is one of `error_codes.py`."""

    id: int
    code: int
    message: str


class Cancel(msgspec.Struct, frozen=True, array_like=True, tag=5):  # since 0.1
    """The asker no longer waits for request `id`."""

    id: int


class StreamData(msgspec.Struct, frozen=True, array_like=True, tag=6):  # since 0.1
    """One piece of a longer answer of request `id`, in order."""

    id: int
    payload: bytes


class StreamEnd(msgspec.Struct, frozen=True, array_like=True, tag=7):  # since 0.1
    """The longer answer of request `id` is complete. One that breaks ends with `Error`."""

    id: int


class RaftMessage(msgspec.Struct, frozen=True, array_like=True, tag=8):  # since 0.1
    """A message of the Raft engine (`raft/messages.py`), opaque here."""

    payload: bytes


class Ping(msgspec.Struct, frozen=True, array_like=True, tag=9):  # since 0.1
    """Answer with the same number: is anybody there?"""

    nonce: int


class Pong(msgspec.Struct, frozen=True, array_like=True, tag=10):  # since 0.1
    """The answer of a ping."""

    nonce: int


class Goodbye(msgspec.Struct, frozen=True, array_like=True, tag=11):  # since 0.1
    """The last frame: why the connection ends (a word of `reasons.py`), and a line for the log of the other side."""

    reason: str
    detail: str = ""


class Credit(msgspec.Struct, frozen=True, array_like=True, tag=12):  # since protocol version 2
    """`size` bytes (`weight`) of the longer answer of request `id`, which was asked for with a window, were read."""

    id: int
    size: int


Frame = (
    Hello | Request | Response | Error | Cancel | StreamData | StreamEnd | RaftMessage | Ping | Pong | Goodbye | Credit
)

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Frame] = msgspec.msgpack.Decoder(Frame)


def weight(piece: bytes) -> int:
    """What a piece of a stream counts in a window: many small ones cost memory as few large ones do."""
    return max(len(piece), LEAST_PIECE_BYTES)


def encode(frame: Frame) -> bytes:
    """The bytes of one frame. Raises LocalProtocolError when they are more than a frame may have."""
    body = _encoder.encode(frame)
    if len(body) > MAX_FRAME_BYTES:
        raise LocalProtocolError(f"a frame of {len(body)} bytes: the limit is {MAX_FRAME_BYTES}")
    return _LENGTH.pack(len(body)) + body


def decode(body: bytes | memoryview) -> Frame:
    """The frame of what follows a length. Raises RemoteProtocolError when it is none."""
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError(f"a frame does not decode: {error}") from error


class FrameReader:
    """Cuts a stream into frames. Keeps at most one unfinished frame, which is never larger than `limit`."""

    def __init__(self, limit: int = MAX_FRAME_BYTES) -> None:
        self.limit = limit
        self._rest = bytearray()
        self._wanted = 0  # with fewer bytes than these there is no new frame
        self._preface = False

    @property
    def kept_bytes(self) -> int:
        """Bytes of the unfinished frame."""
        return len(self._rest)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that `data` completes; go through all of them before feeding again.

        Raises:
            RemoteProtocolError: the stream is not ours, or a frame is too large or does not decode. What follows is
                lost: close the connection.
        """
        stream: bytes | bytearray = data
        if self._rest:
            self._rest += data
            if len(self._rest) < self._wanted:
                return
            stream = self._rest
            self._rest = bytearray()
        begin = self._wanted = 0
        if not self._preface:
            if not PREFACE.startswith(stream[: len(PREFACE)]):
                raise RemoteProtocolError("the stream does not begin as meshagent's")
            if len(stream) < len(PREFACE):
                self._rest += stream
                return
            self._preface = True
            begin = len(PREFACE)
        end = len(stream)
        view = memoryview(stream)
        while end - begin >= 4:
            (size,) = _LENGTH.unpack_from(stream, begin)
            if size > self.limit:
                raise RemoteProtocolError(f"a frame of {size} bytes: the limit is {self.limit}")
            if end - begin - 4 < size:
                self._wanted = size + 4
                break
            begin += 4
            frame = decode(view[begin : begin + size])
            begin += size
            yield frame
        self._rest += view[begin:]
