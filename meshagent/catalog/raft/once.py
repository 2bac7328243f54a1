"""A retried write applies once: the results of the newest writes that came with an id.

Source: Ongaro (2014), section 6.3. Part of the replicated state: filled by applied entries only, bounded by their
order, and inside each snapshot, so every server forgets the same id at the same entry.

What may be changed: `KEPT` only together with the snapshot's version: servers that keep different numbers differ.
"""

from __future__ import annotations

from typing import Any

import msgspec

from meshagent import errors
from meshagent.errors import InternalError, MeshError

__all__ = ["KEPT", "Outcomes"]

KEPT = 16384  # a retry comes within seconds, and 50,000 writes/s carry one id for each client's request, not each key


class Outcomes:
    """Request id -> what applying it gave: ("ok", result) or (name of the error, message)."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._outcomes: dict[bytes, tuple[str, Any]] = {}

    def __len__(self) -> int:
        return len(self._outcomes)

    def __contains__(self, request_id: bytes) -> bool:
        return request_id in self._outcomes

    def result(self, request_id: bytes) -> Any:
        """The result again. Raises the error again."""
        kind, value = self._outcomes[request_id]
        if kind == "ok":
            return value
        error = getattr(errors, kind, InternalError)
        raise error(value)

    def add(self, request_id: bytes, result: Any) -> None:
        self._put(request_id, ("ok", result))

    def add_error(self, request_id: bytes, error: Exception) -> None:
        known = isinstance(error, MeshError) and hasattr(errors, type(error).__name__)
        self._put(request_id, (type(error).__name__ if known else "InternalError", str(error)))

    def _put(self, request_id: bytes, outcome: tuple[str, Any]) -> None:
        self._outcomes[request_id] = outcome
        if len(self._outcomes) > self._kept:
            del self._outcomes[next(iter(self._outcomes))]

    def dump(self) -> list[tuple[bytes, str, Any]]:
        """In order of age, results that msgpack cannot hold as None."""
        return [(request_id, kind, _plain(value)) for request_id, (kind, value) in self._outcomes.items()]

    def load(self, dumped: list[tuple[bytes, str, Any]]) -> None:
        self._outcomes = {request_id: (kind, value) for request_id, kind, value in dumped}


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    try:
        return msgspec.to_builtins(value)
    except TypeError:
        return None
