"""Members that come and go: how long one that is back must stay before it counts as well again.

A node on a bad link fails and returns many times a minute. Each turn would be two writes to the catalog, and all who
watch it would move there and back. The first failures are believed at once, and so is each return after them; who has
failed `OFTEN` times within `WINDOW_S` is passing again only after it has stayed for a while, longer for each further
time. A failure is always told at once.

Source: our own (Consul believes every return); RFC 2439 has the idea, for routes. Pure. What may change here: figures.
"""

from __future__ import annotations

__all__ = ["OFTEN", "Flapping"]

OFTEN = 3
WINDOW_S = 300.0
STEADY_S, LONGEST_S = 10.0, 60.0


class Flapping:
    """What was seen of members, by name."""

    def __init__(self) -> None:
        self._failures: dict[str, list[float]] = {}
        self._down: set[str] = set()
        self._back: dict[str, float] = {}

    def failed(self, name: str, now: float) -> None:
        """It is failed at monotonic second `now`; once for each failure."""
        self._back.pop(name, None)
        if name not in self._down:
            self._down.add(name)
            recent = [at for at in self._failures.get(name, ()) if now - at < WINDOW_S]
            self._failures[name] = [*recent, now][-16:]

    def wait_s(self, name: str, now: float) -> float:
        """It is alive at `now`: how many seconds more it must stay so before it is believed; 0.0 when it is."""
        if name in self._down:
            self._down.discard(name)
            self._back[name] = now
        since = self._back.get(name)
        if since is None:
            return 0.0
        times = sum(since - at < WINDOW_S for at in self._failures.get(name, ()))
        steady_s = 0.0 if times < OFTEN else min(LONGEST_S, STEADY_S * 2.0 ** (times - OFTEN))
        left_s = since + steady_s - now
        if left_s > 0:
            return left_s
        del self._back[name]
        return 0.0

    def keep(self, names: set[str]) -> None:
        """Forget all others."""
        self._down &= names
        for held in (self._failures, self._back):
            for name in held.keys() - names:
                del held[name]
