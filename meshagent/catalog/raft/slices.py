"""I/O edge: long work on the loop, cut so that nobody waits for it long.

Source: measured with `tests/catalog/raft/stalls.py`. After each slice the loop runs for as long as the slice took.

What may be changed: the share of the loop's time.
"""

from __future__ import annotations

from collections.abc import Iterator

from meshagent.catalog.log import Pause
from meshagent.clock import Clock

__all__ = ["in_slices"]


async def in_slices(steps: Iterator[object], clock: Clock, slice_s: float) -> None:
    """Go through `steps`, at most about `slice_s` at a stretch; one that is a `Pause` is waited for."""
    monotonic = clock.monotonic
    started = monotonic()
    for step in steps:
        took = monotonic() - started
        if step.__class__ is Pause or took >= slice_s:
            await clock.sleep(step.seconds if isinstance(step, Pause) else took)
            started = monotonic()
