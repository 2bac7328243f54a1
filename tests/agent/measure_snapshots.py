"""How long saving and taking in an archive holds the loop, and how fast it is; prints, asserts nothing.

    python tests/agent/measure_snapshots.py [--keys 1000000] [--value-bytes 64]

`late` is how late a timer of 1 ms is (the machine has a say in it), `held` the processor time of the loop's thread in
such a wait: what the program is to blame for. What the servers' logs do with a restore is measured by
tests/catalog/raft/stalls.py.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import resource
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from meshagent.agent import snapshots
from meshagent.agent.spool import Spools
from meshagent.catalog.commands import KVSet
from meshagent.catalog.raft.snapshots import SnapshotId
from meshagent.catalog.store import Store
from meshagent.clock import SystemClock, Tasks

EDGES_MS = (2, 5, 10, 20, 50, 100, float("inf"))


class Log:
    """Gives the state and takes one to pieces, without a cluster."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.is_leader = True
        self.last_contact_ms = 0

    def save_snapshot(self) -> tuple[SnapshotId, Iterator[bytes]]:
        return SnapshotId(1, 1), self.store.snapshot()

    async def restore_snapshot(self, chunks: AsyncIterable[bytes]) -> None:
        async for _ in chunks:
            pass


class Watch:
    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.late: Counter[float] = Counter()
        self.worst = self.held = 0.0

    async def run(self) -> None:
        while True:
            wall, cpu = time.perf_counter(), time.thread_time()
            await asyncio.sleep(0.001)
            late = (time.perf_counter() - wall - 0.001) * 1000
            self.late[next(edge for edge in EDGES_MS if late <= edge)] += 1
            self.worst = max(self.worst, late)
            self.held = max(self.held, (time.thread_time() - cpu) * 1000)

    def report(self, what: str, seconds: float, size: int) -> None:
        shown = "  ".join(f"<={edge:g} ms: {self.late[edge]}" for edge in EDGES_MS if self.late[edge])
        print(f"{what}: {seconds:.2f} s, {size / 1e6:.1f} MB, worst {self.worst:.1f} ms, held {self.held:.1f} ms")
        print(f"    {shown}")
        self.reset()


async def measure(store: Store, directory: Path) -> None:
    log = Log(store)
    clock = SystemClock()
    agent: Any = SimpleNamespace(
        store=store, log=log, clock=clock, tasks=Tasks(), datacenter="dc1", node_name="n1",
        extras={"raft": log, "spools": Spools(directory, clock)},
    )  # fmt: skip
    watch = Watch()
    watching = agent.tasks.start(watch.run(), name="watch")
    await asyncio.sleep(1)
    watch.report("idle", 1, 0)
    started = time.perf_counter()
    pieces = [piece async for piece in (await snapshots.save(agent)).pieces]
    size = sum(map(len, pieces))
    watch.report("save", time.perf_counter() - started, size)

    async def body() -> AsyncIterator[bytes]:
        for piece in pieces:
            for start in range(0, len(piece), 1 << 16):
                yield piece[start : start + (1 << 16)]

    started = time.perf_counter()
    await snapshots.restore(agent, body(), size)
    watch.report("take in, check, unpack", time.perf_counter() - started, size)
    watching.cancel()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--value-bytes", type=int, default=64)
    options = parser.parse_args()
    store, rng = Store(), random.Random(1)
    for number in range(options.keys):
        store.execute(KVSet(f"app/{number % 1000}/key-{number}", rng.randbytes(options.value_bytes)))
    gc.freeze()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(measure(store, Path(directory)))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"memory: {before / 1024:.0f} MB with {options.keys:,} keys, {grown / 1024:.0f} MB more at the most")


if __name__ == "__main__":
    main()
