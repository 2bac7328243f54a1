"""A coarse timer wheel: setting and cancelling a timer is one dict operation, whatever their number. No clock, no I/O.

The edge calls `advance` now and then while `pending`; timers fire up to one step late and never early. Timers are
almost always cancelled: a request's timeout is set and cancelled 10,000 times a second.

Source: Varghese and Lauck, "Hashed and hierarchical timing wheels", scheme 6. What may change here: the step.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["TimerWheel"]

#: Seconds. What a timeout of 1 s may be late by; the edge wakes this often while timers are set.
STEP_S = 0.02


class _Timer:
    __slots__ = ("callback", "slot")

    def __init__(self, callback: Callable[[], None], slot: dict[_Timer, None]) -> None:
        self.callback = callback
        self.slot = slot

    def cancel(self) -> None:
        self.slot.pop(self, None)


class TimerWheel:
    """`Timers` over a monotonic clock that is passed in. `on_first` is called when the first timer is set."""

    __slots__ = ("_last", "_slots", "now", "on_first")

    def __init__(self, now: Callable[[], float], on_first: Callable[[], None] = lambda: None) -> None:
        self.now = now
        self.on_first = on_first
        #: Timers by the step in which they fire. Dicts, because they keep the order in which timers were set.
        self._slots: dict[int, dict[_Timer, None]] = {}
        self._last = int(now() / STEP_S)

    def after(self, delay_s: float, callback: Callable[[], None]) -> _Timer:
        """Call back once, `delay_s` seconds from now, rounded up to the next step."""
        slots = self._slots
        at = int((self.now() + delay_s) / STEP_S) + 1
        slot = slots.get(at)
        if slot is None:
            if not slots:
                self._last = int(self.now() / STEP_S)
                self.on_first()
            slot = slots[at] = {}
        timer = _Timer(callback, slot)
        slot[timer] = None
        return timer

    @property
    def pending(self) -> bool:
        """Whether `advance` must be called again."""
        return bool(self._slots)

    def advance(self) -> None:
        """Fire what is due."""
        step = int(self.now() / STEP_S)
        if step <= self._last:
            return
        slots = self._slots
        due = [at for at in slots if at <= step] if step - self._last > len(slots) else range(self._last + 1, step + 1)
        self._last = step
        for at in sorted(due):
            slot = slots.pop(at, None)
            while slot:
                timer = next(iter(slot))
                del slot[timer]
                timer.callback()
