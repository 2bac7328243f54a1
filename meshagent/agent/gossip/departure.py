"""Leaving a pool, step by step: tell serf's members, then memberlist's, then stay a while so that the word travels on.

    HERE --begin--> TELLING --told, or its time is up--> LEAVING --sent, or its time is up--> STAYING --time--> GONE

Source: serf's leave (golden notes, "Leave and force-leave as seen"; surface row S48 for the times). Pure: each call
says what is to be done next. What may change here: nothing that others rely on to tell leaving from failing.
"""

from __future__ import annotations

from enum import Enum

__all__ = ["Departure", "Step"]


class Step(Enum):
    """Where we are on the way out."""

    HERE = "here"
    TELLING = "telling"
    LEAVING = "leaving"
    STAYING = "staying"
    GONE = "gone"


class Departure:
    """The way out of one pool; `due` is when the present step ends by itself."""

    def __init__(self, *, tell_s: float, stay_s: float) -> None:
        self.step = Step.HERE
        self.due: float | None = None
        self._tell_s = tell_s
        self._stay_s = stay_s
        self._told = False

    def begin(self, now: float) -> bool:
        """Start leaving; False if that has been done before."""
        if self.step is not Step.HERE:
            return False
        self.step, self.due = Step.TELLING, now + self._tell_s
        return True

    def told(self) -> None:
        """Our intent has been sent out."""
        self._told = True

    def advance(self, now: float, *, sent: bool = False, others: bool = True) -> Step | None:
        """The step that begins now, if one does: `sent` says that memberlist has told its news, `others` that
        anybody is there to hear it."""
        over = self.due is not None and now >= self.due
        if self.step is Step.TELLING and (self._told or over):
            self.step, self.due = Step.LEAVING, now + self._tell_s
            return self.step
        if self.step is Step.LEAVING and (sent or over):
            self.step, self.due = Step.STAYING, now + (self._stay_s if others else 0.0)
            return self.step
        if self.step is Step.STAYING and over:
            self.step, self.due = Step.GONE, None
            return self.step
        return None
