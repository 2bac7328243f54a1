"""TTL checks: the service says how it is; silence for longer than the TTL is critical.

Source: surface rows K14, K5, A16 and A17. A machine without I/O: `update` and `expire` take the time and answer what
to report; the scheduler holds the timer, moved to `deadline` after each update. This is the smallest check type: copy
it for one that is driven from outside. What it starts with after a restart is decided where states are saved
(`meshagent.agent.saved`).

What may be changed here: nothing of the wording.
"""

from __future__ import annotations

from meshagent.agent.checks.output import cut_head
from meshagent.agent.checks.probe import Outcome, critical

__all__ = ["TtlMachine"]


class TtlMachine:
    """One TTL check."""

    __slots__ = ("_last_output", "_ttl_s", "deadline")

    def __init__(self, ttl_s: float, now: float, last_output: str = "") -> None:
        self._ttl_s = ttl_s
        self._last_output = last_output
        self.deadline: float | None = now + ttl_s
        """When it expires, monotonic seconds; None once it has."""

    def update(self, status: str, output: str, max_bytes: int, now: float) -> Outcome:
        """The service spoke; the TTL starts again, also after it had expired."""
        self._last_output = cut_head(output, max_bytes)
        self.deadline = now + self._ttl_s
        return Outcome(status, self._last_output)

    def expire(self, now: float) -> Outcome | None:
        """The timer fired: critical, once, if the deadline has passed."""
        if self.deadline is None or now < self.deadline:
            return None
        self.deadline = None
        if not self._last_output:
            return critical("TTL expired")
        return critical(f"TTL expired (last output before timeout follows): {self._last_output}")
