"""Requests of the peer that are being served: how many, how large, and how much of each answer is unread.

Source: RFC 9113, section 5.2, for the windows of longer answers: the connection has bounds of its own (`outbox.py`).

What may be changed: a piece may go beyond its window, once; who asked keeps room for it (`streams.py`).
"""

from __future__ import annotations

from collections.abc import Iterator

from meshagent.catalog.rpc.frames import weight

__all__ = ["Served"]


class Served:
    """By the id of the request. At most `most` of them, of `most_bytes` together; one may be larger when alone."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._sizes: dict[int, int] = {}
        self._bytes = 0
        self._windows: dict[int, int] = {}  # how many bytes of the answer may still leave

    def __contains__(self, id: int) -> bool:
        return id in self._sizes

    def __iter__(self) -> Iterator[int]:
        return iter(self._sizes)

    def open(self, id: int, size: int, window: int) -> bool:
        """A request of `size` bytes has come, with a window if that is not 0; False: there are too many."""
        if len(self._sizes) >= self._most or (self._sizes and self._bytes + size > self._most_bytes):
            return False
        self._sizes[id] = size
        self._bytes += size
        if window > 0:
            self._windows[id] = window
        return True

    def close(self, id: int) -> bool:
        """Forget a request; False when nobody waits for it any more."""
        size = self._sizes.pop(id, None)
        if size is None:
            return False
        self._bytes -= size
        self._windows.pop(id, None)
        return True

    def leaves(self, id: int, piece: bytes) -> None:
        """A piece of a longer answer goes to the peer."""
        if id in self._windows:
            self._windows[id] -= weight(piece)

    def read(self, id: int, size: int) -> bool:
        """The peer has read so much of an answer; whether it was held up and may go on."""
        left = self._windows.get(id)
        if left is None or size <= 0:
            return False
        self._windows[id] = left + size
        return left <= 0 < left + size

    def is_spent(self, id: int) -> bool:
        """Whether the next piece must wait until some were read."""
        return self._windows.get(id, 1) <= 0

    def clear(self) -> None:
        """Forget all."""
        self._sizes.clear()
        self._windows.clear()
        self._bytes = 0
