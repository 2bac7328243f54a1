"""What serf does now and then: forget members that have been gone for long, and try to reach failed ones again.

Source: surface row S48 (reap 15 s, reconnect 30 s, and how long who is remembered); serf tries one failed member each
interval with the chance failed / alive, so that the pool as a whole tries each about once. A member may ask for its own
time by the tag `rc_tm`. What may change here: nothing that a peer sees.
"""

from __future__ import annotations

import math
import random
from collections import Counter

from meshagent.agent.gossip.member import Status
from meshagent.agent.gossip.member_table import MemberTable
from meshagent.agent.gossip.node import Node
from meshagent.agent.gossip.serf_settings import SerfSettings
from meshagent.durations import parse_seconds

__all__ = ["Upkeep"]

#: Tag of a member that asks to be forgotten sooner or later than others once it failed.
RECONNECT_TAG = "rc_tm"


class Upkeep:
    """Both clocks of a pool; `reap_at` and `reconnect_at` say when they strike next."""

    def __init__(self, members: MemberTable, settings: SerfSettings, rng: random.Random) -> None:
        self.counts: Counter[str] = Counter()
        self.reap_at = self.reconnect_at = math.inf
        self._members = members
        self._settings = settings
        self._rng = rng

    def start(self, now: float) -> None:
        """Set both."""
        self.reap_at = now + self._settings.reap_interval_s
        self.reconnect_at = now + self._settings.reconnect_interval_s

    def reap(self, now: float) -> list[str]:
        """Forget who is to be forgotten; their names. Nothing before its time."""
        if now < self.reap_at:
            return []
        settings = self._settings
        self.reap_at = now + settings.reap_interval_s
        own = {}
        for entry in self._members.in_state(Status.FAILED):
            wish = entry.tags.get(RECONNECT_TAG)
            if wish:
                try:
                    own[entry.node.name] = parse_seconds(wish)
                except ValueError:
                    self.counts["dropped.reconnect_timeout"] += 1
        return self._members.reap(
            now,
            failed_s=settings.reconnect_timeout_s,
            left_s=settings.tombstone_timeout_s,
            intent_s=settings.intent_timeout_s,
            own=own,
        )

    def reconnect(self, now: float) -> Node | None:
        """The failed member to try now, if any."""
        if now < self.reconnect_at:
            return None
        self.reconnect_at = now + self._settings.reconnect_interval_s
        failed = self._members.in_state(Status.FAILED)
        if not failed:
            return None
        alive = len(self._members) - len(failed) - len(self._members.in_state(Status.LEFT))
        if self._rng.random() > len(failed) / max(alive, 1):
            return None
        return self._rng.choice(failed).node
