"""How many proposals a second one server takes with fdatasync on, and what an fdatasync costs here.

    python tests/catalog/raft/measure.py [--proposers 64] [--seconds 3] [--readers N] [--spin-us N] [--loop asyncio]

`--readers` keeps the loop busy with that many tasks that never wait; `--spin-us` is work before each proposal, in
place of an HTTP request.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from meshagent.catalog.raft.opening import open_raft_log
from meshagent.clock import SystemClock


class Counter:
    """The cheapest state machine."""

    def __init__(self) -> None:
        self.applied = 0

    def apply(self, command: bytes) -> int:
        self.applied += 1
        return self.applied

    def flush(self) -> None:
        return

    def snapshot(self) -> Iterator[bytes]:
        return iter([b"%d" % self.applied])

    def restore(self, chunks: Iterable[bytes]) -> None:
        self.applied = int(b"".join(chunks))


class Samples:
    def __init__(self) -> None:
        self.values: dict[str, list[float]] = {}

    def incr(self, name: str, value: float = 1.0, labels: Any = ()) -> None:
        return

    def gauge(self, name: str, value: float, labels: Any = ()) -> None:
        return

    def sample(self, name: str, value_ms: float, labels: Any = ()) -> None:
        self.values.setdefault(name, []).append(value_ms)


def cost_of_fdatasync(directory: Path) -> str:
    fd = os.open(directory / "probe", os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    os.write(fd, bytes(4 << 20))
    os.fsync(fd)
    times = []
    for position in range(300):
        started = time.perf_counter()
        os.pwrite(fd, b"x" * 8192, position * 8192)
        os.fdatasync(fd)
        times.append((time.perf_counter() - started) * 1e6)
    os.close(fd)
    os.unlink(directory / "probe")
    return f"median {statistics.median(times):.0f} us, p99 {sorted(times)[296]:.0f} us (8 KiB into reserved space)"


def spin(seconds: float) -> None:
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


async def measure(arguments: argparse.Namespace, directory: Path) -> None:
    machine, samples = Counter(), Samples()
    started = time.perf_counter()
    raft = open_raft_log(
        machine, directory, node_id="n", address="a:1", clock=SystemClock(), rng=random.Random(1), metrics=samples
    )
    await raft.start()
    print(f"start: {(time.perf_counter() - started) * 1e3:.1f} ms, applied {machine.applied}")
    over = False
    done = reads = 0
    command = bytes(arguments.bytes)

    async def proposer() -> None:
        nonlocal done
        while not over:
            if arguments.spin_us:
                spin(arguments.spin_us / 1e6)
            await raft.propose(command)
            done += 1

    async def reader() -> None:
        nonlocal reads
        while not over:
            spin(50e-6)
            reads += 1
            await asyncio.sleep(0)

    tasks = [asyncio.ensure_future(proposer()) for _ in range(arguments.proposers)]
    tasks += [asyncio.ensure_future(reader()) for _ in range(arguments.readers)]
    started = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_SELF)
    await asyncio.sleep(arguments.seconds)
    took = time.perf_counter() - started
    count = done
    after = resource.getrusage(resource.RUSAGE_SELF)
    over = True
    await asyncio.gather(*tasks)
    entries = int(raft.stats()["last_log_index"])
    commit = sorted(samples.values["raft.commitTime"])
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"proposals: {count / took:,.0f}/s, {count / entries:.1f} in an entry, reads {reads / took:,.0f}/s")
    print(f"commit: median {commit[len(commit) // 2]:.2f} ms, p99 {commit[int(len(commit) * 0.99)]:.2f} ms")
    print(f"processor: {cpu / count * 1e6:.1f} us a proposal, {cpu / took * 100:.0f} %")
    before = resource.getrusage(resource.RUSAGE_SELF)
    await asyncio.sleep(2)
    after = resource.getrusage(resource.RUSAGE_SELF)
    print(
        f"idle: {(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / 2 * 100:.2f} % of a processor"
    )
    await raft.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--proposers", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--readers", type=int, default=0)
    parser.add_argument("--spin-us", type=float, default=0)
    parser.add_argument("--bytes", type=int, default=120)
    parser.add_argument("--loop", choices=("uvloop", "asyncio"), default="uvloop")
    parser.add_argument("--directory", type=Path)
    arguments = parser.parse_args()
    runner = asyncio.run
    if arguments.loop == "uvloop":
        import uvloop

        runner = uvloop.run
    with tempfile.TemporaryDirectory() as temporary:
        directory = arguments.directory or Path(temporary)
        directory.mkdir(exist_ok=True)
        print(f"fdatasync: {cost_of_fdatasync(directory)}")
        runner(measure(arguments, directory))


if __name__ == "__main__":
    main()
