"""Time on the simulated loop."""

from __future__ import annotations

import asyncio

from meshtest.sim.loop import RESOLUTION_S, SkewedClock, run_sim


def test_who_waits_until_a_moment_gets_there_though_others_are_always_busy() -> None:
    """A timer may fire early by the loop's resolution when something else is ready, and no time passes then.

    Mutation: a sleep may be as short as that: what is left is slept for anew, for ever (a soak hung in it).
    """

    async def main() -> None:
        clock = SkewedClock(1.01, 57.3)
        until = clock.monotonic() + 0.1
        await asyncio.sleep(0.1 / 1.01 - RESOLUTION_S / 2)
        busy = asyncio.ensure_future(always_busy())
        sleeps = 0
        while (left := until - clock.monotonic()) > 0:
            await clock.sleep(left)
            sleeps += 1
            assert sleeps < 100
        busy.cancel()

    async def always_busy() -> None:
        for _ in range(100_000):
            await asyncio.sleep(0)

    run_sim(main())
