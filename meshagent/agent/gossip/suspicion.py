"""One suspicion: who confirmed it, and when the suspect counts as dead.

Source: Lifeguard paper, section IV.B (dynamic suspicion timeouts, independent confirmations); surface row S21. The
timeout begins at `high_s` and falls with every confirmation of another node, to `low_s` at `k`. What is due when is in
`deadline`; whoever holds the suspicion owns the timer.
"""

from __future__ import annotations

from meshagent.agent.gossip.timing import remaining_suspicion_s

__all__ = ["Suspicion"]


class Suspicion:
    """`accuser` began it at `now`; `k` more accusers are hoped for (0: the timeout is `low_s` at once)."""

    def __init__(self, accuser: str, k: int, low_s: float, high_s: float, now: float) -> None:
        self.k = k
        self._low_s = low_s
        self._high_s = high_s
        self.began = now
        self._accusers = {accuser}
        self.deadline = now + (high_s if k else low_s)

    @property
    def confirmations(self) -> int:
        return len(self._accusers) - 1

    def confirm(self, accuser: str, now: float) -> bool:
        """Another one suspects it too: whether that is news to pass on; `deadline` may have come nearer."""
        if self.confirmations >= self.k or accuser in self._accusers:
            return False
        self._accusers.add(accuser)
        elapsed = now - self.began
        self.deadline = now + remaining_suspicion_s(self.confirmations, self.k, elapsed, self._low_s, self._high_s)
        return True
