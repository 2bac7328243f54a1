"""Taking apart what a container's command printed: stdout and stderr share one stream, in frames.

Source: docs.docker.com/reference/api/engine, "Attach to a container", stream format: a header of eight bytes (stream
number 0-2, three zero bytes, length big-endian) before each piece. With a terminal, or from an engine that says
`application/vnd.docker.raw-stream`, there are no headers. No I/O.

What may be changed here: any bytes either come apart or raise `RemoteProtocolError`; nothing is held but one header.
"""

from __future__ import annotations

from meshagent.errors import RemoteProtocolError

__all__ = ["Demultiplexer"]

_HEADER_BYTES = 8


class Demultiplexer:
    """Frames in any slicing in, their contents out."""

    __slots__ = ("_header", "_left")

    def __init__(self) -> None:
        self._header = b""
        self._left = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The contents in `data`, of all streams, in order.

        Raises:
            RemoteProtocolError: there is no header where one should be.
        """
        out = []
        at = 0
        while at < len(data):
            if self._left:
                piece = data[at : at + self._left]
                self._left -= len(piece)
                at += len(piece)
                out.append(piece)
                continue
            need = _HEADER_BYTES - len(self._header)
            self._header += data[at : at + need]
            at += need
            if len(self._header) == _HEADER_BYTES:
                if self._header[0] > 2 or self._header[1:4] != b"\0\0\0":
                    raise RemoteProtocolError("not a multiplexed docker stream")
                self._left = int.from_bytes(self._header[4:], "big")
                self._header = b""
        return out

    def feed_eof(self) -> None:
        """The stream ended.

        Raises:
            RemoteProtocolError: in the middle of a frame.
        """
        if self._left or self._header:
            raise RemoteProtocolError("a docker stream that ends in the middle of a frame")
