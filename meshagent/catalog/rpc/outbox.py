"""What waits because the peer does not read: bounded, in order, handed out in bursts.

Source: ours. What may be changed: the burst; it must be no more than the socket's high-water mark (`link.py`).
"""

from __future__ import annotations

from collections import deque

__all__ = ["BURST_BYTES", "Outbox"]

#: Handed to the socket at a time when a peer reads again.
BURST_BYTES = 1 << 20


class Outbox:
    """Frames for one peer. Takes any frame when empty, and never more than `limit` bytes in all after that."""

    def __init__(self, limit: int) -> None:
        self.paused = False
        self.bytes = 0
        self._limit = limit
        self._frames: deque[bytes] = deque()

    @property
    def open(self) -> bool:
        """Whether a frame may go straight to the socket."""
        return not self.paused and not self._frames

    def put(self, data: bytes) -> bool:
        """Keep a frame for later; False when that would be too much."""
        if self._frames and self.bytes + len(data) > self._limit:
            return False
        self._frames.append(data)
        self.bytes += len(data)
        return True

    def burst(self) -> bytes:
        """The oldest frames, about `BURST_BYTES` of them; empty when nothing waits."""
        taken = []
        size = 0
        while self._frames and size < BURST_BYTES:
            taken.append(self._frames.popleft())
            size += len(taken[-1])
        self.bytes -= size
        return b"".join(taken)

    def clear(self) -> None:
        """Forget all."""
        self._frames.clear()
        self.bytes = 0
