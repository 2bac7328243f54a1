"""When a leaf certificate is to be renewed, and how near its end it is. Pure: wall time and chance come in.

A leaf is renewed at a random moment between half and 65 % of its life: with the 72 hours of the default at least a day
is left, so that an agent outlives a day without servers. (Consul waits for 60 to 90 %.) When the active root changes, a
leaf that somebody watches is renewed at a random moment of the next 30 seconds, so that a cluster's leafs do not all
come at once. A refused or failed renewal keeps the old leaf and tries again, later and later, at least every 5 minutes
(within 30 seconds when it was the signing limit).

Source: surface row M63; "Leaf renewal on rotation" of leaf.md of the golden mesh data. What may change here: the
window, never so that less than a day of 72 hours is left.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta

__all__ = ["Renewal", "health"]

EARLIEST, LATEST = 0.5, 0.65
ROOT_WINDOW = timedelta(seconds=30)
FIRST_RETRY = timedelta(seconds=2)
LONGEST_RETRY = timedelta(minutes=5)
#: From this part of its life on a leaf that could not be renewed is told of; from the second it is urgent.
WARNING_AT, CRITICAL_AT = 0.75, 0.9


@dataclass(slots=True)
class Renewal:
    """The renewal of one leaf. `due` is when to ask for the next one."""

    rng: random.Random
    valid_after: datetime
    valid_before: datetime
    due: datetime = field(init=False)
    failures: int = 0

    def __post_init__(self) -> None:
        self._plan()

    def issued(self, valid_after: datetime, valid_before: datetime) -> None:
        """A new leaf is here."""
        self.valid_after, self.valid_before = valid_after, valid_before
        self.failures = 0
        self._plan()

    def _plan(self) -> None:
        part = EARLIEST + (LATEST - EARLIEST) * self.rng.random()
        self.due = self.valid_after + (self.valid_before - self.valid_after) * part

    def root_changed(self, now: datetime) -> None:
        """Another root is active."""
        self.due = min(self.due, now + ROOT_WINDOW * self.rng.random())

    def failed(self, now: datetime, *, limited: bool = False) -> None:
        """The renewal did not succeed; `limited` when it was refused by the signing limit."""
        self.failures += 1
        if limited:
            self.due = now + ROOT_WINDOW * self.rng.random()
            return
        pause = min(LONGEST_RETRY, FIRST_RETRY * 2 ** min(self.failures - 1, 10))
        self.due = now + pause * (0.5 + 0.5 * self.rng.random())


def health(valid_after: datetime, valid_before: datetime, now: datetime) -> str:
    """`passing`, `warning`, `critical` or `expired`: how far a certificate is in its life."""
    if now >= valid_before:
        return "expired"
    part = (now - valid_after) / (valid_before - valid_after)
    return "critical" if part >= CRITICAL_AT else "warning" if part >= WARNING_AT else "passing"
