"""Which keys may not be locked yet because the session that held them has been lost.

Source: surface row E7; developer.hashicorp.com/consul/docs/dynamic-app-config/sessions ("lock-delay"). A server that
believed it held the lock may still act on it for a while. The delay is measured by the clock of the server that is
asked, from when it applied the end of the session, and is not replicated: it is asked before a lock is proposed.

Pure: time is an argument, in monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["LockDelays"]

#: From so many keys on, those whose delay is over are forgotten when others come.
_SWEEP_FROM = 64


class LockDelays:
    """The keys under a delay."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._sweep_at = _SWEEP_FROM

    def start(self, freed: Mapping[str, int], now: float) -> None:
        """Keys were freed now; each may not be locked for so many nanoseconds. A longer delay that runs stays."""
        if len(self._until) >= self._sweep_at:
            self._until = {key: until for key, until in self._until.items() if until > now}
            self._sweep_at = max(_SWEEP_FROM, 2 * len(self._until))
        for key, delay_ns in freed.items():
            self._until[key] = max(now + delay_ns / 1e9, self._until.get(key, now))

    def blocks(self, key: str, now: float) -> bool:
        """Whether `key` may not be locked at `now`."""
        until = self._until.get(key)
        if until is None:
            return False
        if until > now:
            return True
        del self._until[key]
        return False

    def __len__(self) -> int:
        """How many keys are remembered."""
        return len(self._until)
