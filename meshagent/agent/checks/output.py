"""How much of a check's output is kept, and how the cut is shown.

Source: surface row K5, agreed with tests/data/golden/http/agent-checks.json: scripts keep the tail behind
`Captured N of M bytes`, TTL updates keep the head before ` ... (captured N of M bytes)`, HTTP bodies keep the tail
without a word. Sizes count bytes of UTF-8, as Consul's do; a character cut in two shows as U+FFFD.

What may be changed here: nothing of the wording; tools match it.
"""

from __future__ import annotations

from collections import deque

__all__ = ["DEFAULT_MAX_SIZE", "Tail", "cut_head", "effective_max_size"]

#: Consul's default of `check_output_max_size` (G22).
DEFAULT_MAX_SIZE = 4096


def effective_max_size(agent_bytes: int, check_bytes: int) -> int:
    """The limit of one check: its own OutputMaxSize may only lower the agent's."""
    limit = agent_bytes if agent_bytes > 0 else DEFAULT_MAX_SIZE
    return min(limit, check_bytes) if check_bytes > 0 else limit


def cut_head(output: str, max_bytes: int) -> str:
    """The first `max_bytes` of a TTL update's output, and how many there were."""
    if len(output) * 4 <= max_bytes:  # no character takes more than four bytes: no need to count
        return output
    raw = output.encode("utf-8", "replace")
    if len(raw) <= max_bytes:
        return output
    head = raw[:max_bytes].decode("utf-8", "replace")
    return f"{head} ... (captured {max_bytes} of {len(raw)} bytes)"


class Tail:
    """The last `max_bytes` of a stream, held in no more than twice that."""

    __slots__ = ("_held", "_max", "_pieces", "total")

    def __init__(self, max_bytes: int) -> None:
        self._max = max_bytes
        self._pieces: deque[bytes] = deque()
        self._held = 0
        self.total = 0
        """Bytes seen, kept or not."""

    def append(self, data: bytes) -> None:
        """Take the next piece of the stream."""
        self.total += len(data)
        if len(data) > self._max:
            data = data[-self._max :]
        self._pieces.append(data)
        self._held += len(data)
        while self._held - len(self._pieces[0]) >= self._max:
            self._held -= len(self._pieces.popleft())
        if len(self._pieces) > 64:  # many tiny writes: one piece costs less than many
            kept = self.bytes()
            self._pieces.clear()
            self._pieces.append(kept)
            self._held = len(kept)

    def bytes(self) -> bytes:
        """What is kept."""
        return b"".join(self._pieces)[-self._max :] if self._pieces else b""

    def text(self) -> str:
        """What is kept, as text (the form of HTTP checks)."""
        return self.bytes().decode("utf-8", "replace")

    def captured(self) -> str:
        """What is kept, saying so if something was dropped (the form of script and docker checks)."""
        text = self.text()
        if self.total <= self._max:
            return text
        return f"Captured {self._max} of {self.total} bytes\n...\n{text}"
