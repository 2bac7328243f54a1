"""I/O edge: kill -9 of the durable log alone, again and again; every write it acknowledged must be there afterwards.

    python tests/chaos/kill9_log.py [--rounds 50] [--seed N]     a small program: the log and a dictionary
    python tests/chaos/kill9_log.py --break-ack                  a broken build that must be caught (exit 1)
    python tests/chaos/kill9_log.py --break-fsync                see below

`kill9.py` does the same to a whole agent. Here a round takes a third of a second and the files are tiny, so thousands
of segments and snapshots roll over in one data directory; some kills hit the start. Values only grow: a key must hold
the last acknowledged value or a newer one. Exits 1 when one is lost.

What neither can see: a build that never calls fdatasync. The page cache outlives the process, so after SIGKILL all
that was written is still read back. `--break-fsync` therefore runs the same kind of check on the simulated disk
(tests/catalog/raft/test_recovery.py), whose `lying=True` is that build.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

WRITERS = 32
KEYS_OF_A_WRITER = 8

State = dict[str, int]


# -- the small program


class Child:
    """The log and a dictionary in a process of their own; it writes what was acknowledged to its standard output."""

    def __init__(self, directory: Path, *, broken: bool) -> None:
        self._command = [sys.executable, __file__, "--child", str(directory), *(["--break-ack"] if broken else [])]
        self._process: asyncio.subprocess.Process | None = None
        self.acknowledged: State = {}
        self.count = 0

    async def start(self) -> State | None:
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        state: State = {}
        async for line in self._process.stdout:
            if line == b"READY\n":
                return state
            key, value = line.split()
            state[key.decode()] = int(value)
        if await self._process.wait() != -signal.SIGKILL:
            raise SystemExit(f"the server did not start: exit code {self._process.returncode}")
        return None

    async def load(self, seconds: float, first_value: int) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(b"%d\n" % first_value)
        reading = asyncio.ensure_future(self._read())
        await asyncio.sleep(seconds)
        self._kill()
        await reading

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        rest = b""
        while data := await self._process.stdout.read(1 << 20):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                key, value = line.split()
                self.acknowledged[key.decode()] = int(value)
                self.count += 1

    async def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._kill()
            await self._process.wait()

    def _kill(self) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGKILL)  # not send_signal, which would reap behind asyncio's back


class Dictionary:
    """A state machine of `key value` commands."""

    def __init__(self) -> None:
        self.items: dict[bytes, bytes] = {}

    def apply(self, command: bytes) -> None:
        key, value, *_ = command.split()
        self.items[key] = value

    def flush(self) -> None:
        return

    def snapshot(self) -> Iterator[bytes]:
        return (b"%s %s" % item for item in list(self.items.items()))

    def restore(self, chunks: Iterable[bytes]) -> None:
        self.items = dict(chunk.split() for chunk in chunks)


async def child(directory: Path, *, broken: bool) -> None:
    from meshagent.catalog.raft.journal import FileJournal
    from meshagent.catalog.raft.opening import open_raft_log
    from meshagent.catalog.raft.settings import RaftSettings
    from meshagent.clock import SystemClock

    if broken:
        _acknowledge_before_writing(FileJournal)
    machine = Dictionary()
    log = open_raft_log(
        machine,
        directory,
        node_id="node-1",
        address="127.0.0.1:8300",
        clock=SystemClock(),
        rng=random.Random(),
        settings=RaftSettings(
            snapshot_threshold=500,
            snapshot_interval_s=0.05,
            trailing_logs=200,
            segment_bytes=64 << 10,
            reserve_bytes=16 << 10,
        ),
    )
    await log.start()
    lines = b"".join(b"%s %s\n" % item for item in machine.items.items())
    os.write(1, lines + b"READY\n")
    value = int(await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline))

    async def writer(number: int) -> None:
        nonlocal value
        while True:
            for position in range(KEYS_OF_A_WRITER):
                value += 1
                line = b"w%d-%d %d" % (number, position, value)
                await log.propose(line + b" " + bytes(range(97, 123)) * (value % 12))
                os.write(1, line + b"\n")

    await asyncio.gather(*map(writer, range(WRITERS)))


def _acknowledge_before_writing(journal: Any) -> None:
    """The broken build: entries count as durable when they are staged, and reach the file a moment later."""
    sync: Callable[[Any], None] = journal.sync

    def early(self: Any) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(0.02, sync, self)
        if self.durable_index < self[-1][1]:
            self.durable_index = self[-1][1]
            loop.call_soon(lambda: self._on_durable())

    journal.sync = early


# -- the rounds


async def torment(target: Child, *, rounds: int, rng: random.Random, directory: Path) -> int:
    """Exit code."""
    lost = early = 0
    started = time.monotonic()
    for number in range(rounds + 1):  # the last one only reads
        killer = None
        if number < rounds and rng.random() < 0.2:
            killer = asyncio.ensure_future(_kill_later(target, rng.uniform(0.0, 0.5)))
        state = await target.start()
        if killer is not None:
            killer.cancel()
        if state is None:
            early += 1
        else:
            missing = [key for key, value in target.acknowledged.items() if state.get(key, -1) < value]
            lost += len(missing)
            for key in missing[:5]:
                print(f"round {number}: LOST {key}: acknowledged {target.acknowledged[key]}, found {state.get(key)}")
            if number < rounds:
                await target.load(rng.uniform(0.0, 0.3), (number + 1) * 10**9)
        await target.kill()
        if number % 50 == 49:
            print(f"{number + 1} rounds, {target.count} acknowledged, {lost} lost", flush=True)
    names = sorted(path.name for path in directory.rglob("raft/*"))
    print(f"files at the end: {', '.join(names)}")
    print(
        f"rounds {rounds} ({early} killed while starting), acknowledged writes {target.count}, lost writes {lost},"
        f" {time.monotonic() - started:.0f} s"
    )
    return 1 if lost else 0


async def _kill_later(target: Child, delay_s: float) -> None:
    await asyncio.sleep(delay_s)
    await target.kill()


def without_fsync() -> int:
    print("kill -9 cannot show a missing fdatasync: the page cache outlives the process. On the simulated disk:")
    root = Path(__file__).resolve().parents[2]
    test = "tests/catalog/raft/test_recovery.py::test_a_build_that_forgets_fdatasync_is_caught"
    return subprocess.run([sys.executable, "-m", "pytest", "-q", test], cwd=root, check=False).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--break-ack", action="store_true", help="a build that acknowledges before it writes")
    parser.add_argument("--break-fsync", action="store_true", help="a build without fdatasync, on the simulated disk")
    parser.add_argument("--directory", type=Path, help="keep the data here (default: a temporary directory)")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child is not None:
        asyncio.run(child(arguments.child, broken=arguments.break_ack))
        return 0
    if arguments.break_fsync:
        return without_fsync()
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    with tempfile.TemporaryDirectory() as temporary:
        directory = arguments.directory or Path(temporary)
        directory.mkdir(parents=True, exist_ok=True)
        target = Child(directory, broken=arguments.break_ack)

        async def run() -> int:
            try:
                return await torment(target, rounds=arguments.rounds, rng=random.Random(seed), directory=directory)
            finally:
                await target.kill()

        return asyncio.run(run())


if __name__ == "__main__":
    sys.exit(main())
