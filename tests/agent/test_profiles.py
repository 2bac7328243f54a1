"""What the process is doing, as text."""

from __future__ import annotations

import asyncio
import re
import sys
import threading

from meshagent.agent.profiles import folded, profile, report


def test_a_stack_reads_from_the_outermost_call_in() -> None:
    def inner() -> str:
        return folded(sys._getframe(), "main")

    names = inner().split(";")
    assert names[0] == "main"
    assert names[-1].endswith("inner")
    assert any(name.endswith("test_a_stack_reads_from_the_outermost_call_in") for name in names)


def test_what_a_thread_does_is_seen() -> None:
    ended, busy = threading.Event(), threading.Event()

    def work() -> None:
        while not ended.is_set():
            busy.set()

    thread = threading.Thread(target=work, name="worker")
    thread.start()
    busy.wait()
    try:
        text = profile(0.05, threading.Event())
    finally:
        ended.set()
        thread.join()
    assert re.search(r"^worker;.*work.* \d+$", text, re.MULTILINE)


def test_it_ends_when_nobody_waits_any_more() -> None:
    ended = threading.Event()
    ended.set()
    seen = [int(line.rpartition(" ")[2]) for line in profile(100.0, ended).splitlines()]
    assert sum(seen) <= len(sys._current_frames())  # one look at each thread, not 10,000


async def test_tasks_and_memory_are_named() -> None:
    task = asyncio.create_task(asyncio.Event().wait(), name="waiting one")
    await asyncio.sleep(0)
    assert "waiting one Event.wait" in (await report("goroutine", 0) or "")
    assert "allocated blocks" in (await report("heap", 0) or "")
    assert "MainThread" in (await report("profile", 0.01) or "")
    assert await report("trace", 0) is None
    task.cancel()
