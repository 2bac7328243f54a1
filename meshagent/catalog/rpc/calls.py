"""Requests of ours that wait for their answer on one connection: ids, who asked, until when.

Source: ours. Ids are never used twice on a connection, so that a late answer meets nobody. What may be changed: nothing
here knows frames.
"""

from __future__ import annotations

from typing import Any

__all__ = ["Calls"]


class Calls:
    """Open requests. A token is what the asker knows its request by."""

    def __init__(self) -> None:
        self._open: dict[int, tuple[Any, float]] = {}
        self._ids: dict[Any, int] = {}
        self._last_id = 0

    def __len__(self) -> int:
        return len(self._open)

    def next_id(self) -> int:
        """The id for the next request, whether it comes to `open` or not."""
        self._last_id += 1
        return self._last_id

    def open(self, id: int, token: Any, deadline: float) -> None:
        """Request `id` leaves; its answer is worth nothing after monotonic second `deadline`."""
        self._open[id] = (token, deadline)
        self._ids[token] = id

    def token(self, id: int) -> Any:
        """Who waits for request `id`; None: nobody any more."""
        found = self._open.get(id)
        return None if found is None else found[0]

    def id(self, token: Any) -> int | None:
        """The open request of `token`."""
        return self._ids.get(token)

    def finish(self, id: int) -> Any:
        """Close request `id`; who waited for it, or None."""
        found = self._open.pop(id, None)
        if found is None:
            return None
        del self._ids[found[0]]
        return found[0]

    def keep(self, id: int) -> None:
        """Its answer has begun to come: there is no deadline any more."""
        self._open[id] = (self._open[id][0], float("inf"))

    def expired(self, now: float) -> list[int]:
        """Requests whose deadline has passed."""
        return [id for id, (_, deadline) in self._open.items() if deadline <= now]

    def next_deadline(self) -> float | None:
        """When to look at `expired` again."""
        soonest = min((deadline for _, deadline in self._open.values()), default=float("inf"))
        return None if soonest == float("inf") else soonest

    def clear(self) -> list[Any]:
        """Forget all; who waited."""
        tokens = [token for token, _ in self._open.values()]
        self._open.clear()
        self._ids.clear()
        return tokens
