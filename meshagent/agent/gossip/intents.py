"""Join and leave intents about members that are not known yet.

Intents travel apart from memberlist's own news and may arrive first. The newest one of a name is kept for a while and
applied when its member appears.

Source: serf's recent intents (surface row S48: 5 minutes). Bounded: names come from others. What may change here: the
bound.
"""

from __future__ import annotations

from dataclasses import dataclass

from meshagent.agent.gossip.serf_messages import Join, Leave

__all__ = ["Intents"]

#: Names remembered at once; a pool that changes more than this in five minutes loses the oldest.
MAX_INTENTS = 8192


@dataclass(slots=True)
class _Kept:
    intent: Join | Leave
    at: float


class Intents:
    """The newest intent of each unknown name."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, intent: Join | Leave, now: float) -> bool:
        """Keep an intent; whether it is news."""
        kept = self._kept.get(intent.node)
        if kept is not None and kept.intent.ltime >= intent.ltime:
            return False
        self._kept.pop(intent.node, None)
        if len(self._kept) >= MAX_INTENTS:
            del self._kept[next(iter(self._kept))]
        self._kept[intent.node] = _Kept(intent, now)
        return True

    def newest(self, node: str) -> Join | Leave | None:
        """The intent about `node`, if any."""
        kept = self._kept.get(node)
        return kept.intent if kept is not None else None

    def reap(self, now: float, timeout_s: float) -> None:
        """Forget what is older than `timeout_s` seconds."""
        for node in [node for node, kept in self._kept.items() if now - kept.at > timeout_s]:
            del self._kept[node]
