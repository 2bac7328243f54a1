"""One watch as a machine: which read comes next, and what of its answer is news.

Source: surface rows G40, C12, C13 (an index that falls starts anew; the answer of a blocking read is no promise of a
change). Pure: answers and failures come in, changes and pauses come out. What may change here: the pauses.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from meshagent.agent.events import event_index
from meshagent.agent.watches.plans import PLANS, Watched, target
from meshagent.errors import MeshError

__all__ = ["Change", "Follower"]

#: Pause after the first failure; it grows with the square of failures in a row, up to the longest.
RETRY_S = 5.0
LONGEST_RETRY_S = 180.0


@dataclass(frozen=True, slots=True)
class Change:
    """News for the handler: the value as JSON, and the index (or hash) it has."""

    index: str
    value: Any

    @property
    def body(self) -> bytes:
        """The value as the handler gets it."""
        return json.dumps(self.value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


class Follower:
    """Follows one watch: read `target`, then `take` the answer or say that it `failed`."""

    def __init__(self, watch: Watched) -> None:
        self._watch = watch
        self._plan = PLANS[watch.type]
        self._index = ""
        self._told = False
        self._value: Any = None
        self._failures = 0

    @property
    def target(self) -> str:
        """Path and query of the next read."""
        return target(self._watch, self._index)

    def take(self, status: int, headers: Mapping[str, str], body: bytes) -> Change | None:
        """The answer of that read; header names in lower case.

        Raises:
            MeshError: it is no answer to hand over: treat it as failed.
        """
        missing = status == 404 and self._watch.type in {"key", "keyprefix"}
        if status != 200 and not missing:
            text = body.decode("utf-8", "replace").strip()
            raise MeshError(f"Unexpected response code: {status} ({text})")
        try:
            answer = None if missing else json.loads(body)
        except ValueError:
            raise MeshError("the answer is not JSON") from None
        index = headers.get("x-consul-contenthash" if self._plan.by_hash else "x-consul-index", "")
        if not self._plan.by_hash and not (index.isascii() and index.isdigit()):
            raise MeshError("the answer has no index")
        self._failures = 0
        before, self._index = self._index, index
        if self._told and before == index:
            return None
        value = self._plan.result(answer)
        if self._plan.ordered and not self._plan.by_hash:
            if before and int(index) < int(before):
                self._index = ""  # the servers were restored: nothing before this counts
        elif self._watch.type == "event" and before:
            value = _newer(value, int(before))
        if self._told and value == self._value:
            return None
        self._told, self._value = True, value
        return Change(index, value)

    def failed(self) -> float:
        """Seconds to wait before the next try."""
        self._failures += 1
        return min(LONGEST_RETRY_S, RETRY_S * self._failures**2)


def _newer(events: list[Any], index: int) -> list[Any]:
    """The events behind the one that has `index`; all of them when it is gone."""
    for place, event in enumerate(events):
        if event_index(event["ID"]) == index:
            return events[place + 1 :]
    return events
