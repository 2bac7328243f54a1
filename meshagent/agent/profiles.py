"""I/O edge: what the process is doing: sampled stacks of its threads, its tasks, its memory. For `/debug/pprof`.

Stacks are looked at from a thread of their own, a hundred times a second, so that the loop is not slowed and a loop
that hangs is seen hanging. The text is folded stacks ("a;b;c 12"), which flame graph tools and speedscope read.

Source: surface row C32; github.com/brendangregg/FlameGraph (the format). What may change here: further kinds.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import sys
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from types import FrameType

__all__ = ["KINDS", "folded", "profile", "report"]

_EVERY_S = 0.01
MAX_S = 120.0
_DEEPEST = 100


def folded(frame: FrameType | None, root: str) -> str:
    """A stack from its outermost call in, joined with `;`, `root` first."""
    names: list[str] = []
    while frame is not None and len(names) < _DEEPEST:
        code = frame.f_code
        names.append(f"{code.co_filename.rpartition('/meshagent/')[2]}:{code.co_qualname}".replace(";", ","))
        frame = frame.f_back
    return ";".join([root, *reversed(names)])


def profile(seconds: float, ended: threading.Event) -> str:
    """Folded stacks of all threads but this one, over `seconds`, or until `ended`."""
    counts: Counter[str] = Counter()
    here = threading.get_ident()
    for _ in range(max(1, round(seconds / _EVERY_S))):
        names = {thread.ident: thread.name for thread in threading.enumerate()}
        for ident, frame in sys._current_frames().items():
            if ident != here:
                counts[folded(frame, names.get(ident, "thread"))] += 1
        if ended.wait(_EVERY_S):
            break
    return "".join(f"{stack} {count}\n" for stack, count in counts.most_common())


async def _profile(seconds: float) -> str:
    ended = threading.Event()
    try:
        return await asyncio.get_running_loop().run_in_executor(None, profile, min(seconds, MAX_S), ended)
    finally:
        ended.set()


async def _tasks(_: float) -> str:
    """Every task with the line at which it waits."""
    lines = []
    for task in sorted(asyncio.all_tasks(), key=lambda one: one.get_name()):
        stack = task.get_stack(limit=1)
        place = f"{stack[-1].f_code.co_qualname}:{stack[-1].f_lineno}" if stack else "-"
        lines.append(f"{task.get_name()} {place}\n")
    return f"tasks: {len(lines)}\n\n" + "".join(lines)


async def _heap(_: float) -> str:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    rows = [f"largest resident size: {usage.ru_maxrss} KiB", f"allocated blocks: {sys.getallocatedblocks()}"]
    rows += [f"generation {at}: {stats}" for at, stats in enumerate(gc.get_stats())]
    rows.append(f"objects the collector does not walk: {gc.get_freeze_count()}")
    return "\n".join(rows) + "\n"


#: Kind, as Go's profiles are called -> how it is made, given the seconds asked for.
KINDS: dict[str, Callable[[float], Awaitable[str]]] = {"profile": _profile, "goroutine": _tasks, "heap": _heap}


async def report(kind: str, seconds: float) -> str | None:
    """The text of a kind; None for one that there is not."""
    made = KINDS.get(kind)
    return None if made is None else await made(seconds)
