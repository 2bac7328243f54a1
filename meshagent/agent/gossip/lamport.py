"""Lamport clocks: the order of events in a pool whose members share no clock.

Source: Lamport, "Time, Clocks, and the Ordering of Events in a Distributed System" (CACM 1978); surface row S42 for how
serf uses three of them. The first value is 1, so that 0 means "never". What may change here: nothing that a peer sees.
"""

from __future__ import annotations

from meshagent.errors import RemoteProtocolError

__all__ = ["MAX_TIME", "LamportClock", "check_times"]

#: Times travel as unsigned 64-bit numbers. One step is kept free, so that `witness` never leaves the range.
MAX_TIME = 2**64 - 2
#: No clock gets here by counting: whoever says so means harm, or is broken. Above it there is room to count on.
_FAR_FUTURE = 2**62
_LAST = 2**63
#: How much others may have counted while we heard nothing: a hundred events a second for more than a year.
_MAX_STEP = 2**32
#: A clock below this has hardly seen anything of its pool.
_YOUNG = 1024


class LamportClock:
    """A counter that is moved past every value seen."""

    __slots__ = ("time",)

    def __init__(self, time: int = 1) -> None:
        self.time = time
        """The value that the next message of ours bears."""

    def increment(self) -> int:
        """Take the present value and move on."""
        taken = self.time
        self.time = min(taken + 1, MAX_TIME + 1)
        return taken

    def witness(self, seen: int) -> None:
        """Another member's message bore `seen`: ours come after it."""
        if seen >= self.time:
            self.time = min(seen, MAX_TIME) + 1


def check_times(*times: int, clock: LamportClock, told: bool = False) -> None:
    """Refuse times too far ahead of our `clock`: they would move it, and those of all others, where nobody can follow.

    `told`: they came in a full exchange, which a young clock believes: that is how it learns where its pool is.

    Raises:
        RemoteProtocolError: nobody can have counted so far.
    """
    limit = _FAR_FUTURE if told and clock.time < _YOUNG else min(clock.time + _MAX_STEP, _LAST)
    if any(time >= limit for time in times):
        raise RemoteProtocolError("a Lamport time that nobody can have counted to")
