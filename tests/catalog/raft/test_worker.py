"""The disk's thread: results and errors come back on the loop, in order, also when the loop never rests."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from meshagent.catalog.raft.worker import ThreadWorker, run


async def test_results_and_errors_come_back_on_the_loop() -> None:
    worker = ThreadWorker(asyncio.get_running_loop(), name="t")
    assert await run(worker, threading.get_ident) != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        await run(worker, lambda: 1 // 0)
    worker.stop()


async def test_jobs_are_done_in_order_and_stop_waits_for_them() -> None:
    worker = ThreadWorker(asyncio.get_running_loop(), name="t")
    done: list[int] = []
    for number in range(100):
        worker.submit(lambda number=number: done.append(number), lambda *_: None)  # type: ignore[misc]
    worker.stop()
    assert done == list(range(100))


async def test_no_thread_without_a_job_and_no_timer_without_one_under_way() -> None:
    worker = ThreadWorker(asyncio.get_running_loop(), name="t")
    assert worker._thread is None
    await run(worker, lambda: None)
    await asyncio.sleep(0.01)
    assert worker._timer is None
    worker.stop()


async def test_a_loop_that_never_rests_gives_way() -> None:
    # Without that a job of a few microseconds takes hundreds of milliseconds, for it cannot get the interpreter lock.
    loop = asyncio.get_running_loop()
    worker = ThreadWorker(loop, name="t")
    over = False

    async def busy() -> None:
        while not over:
            until = time.perf_counter() + 0.00005
            while time.perf_counter() < until:
                pass
            await asyncio.sleep(0)

    tasks = [asyncio.ensure_future(busy()) for _ in range(4)]
    started = time.perf_counter()
    for _ in range(50):
        await run(worker, lambda: time.sleep(0.0001))
    took = time.perf_counter() - started
    over = True
    await asyncio.gather(*tasks)
    worker.stop()
    assert took < 2.5
