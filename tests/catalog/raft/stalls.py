"""How long the loop is held at a million keys, on a leader and a follower, while writes go on; prints, asserts nothing.

    python tests/catalog/raft/stalls.py [--keys 1000000] [--missed 100000] [--directory D] [--only newcomer,restore]

Three real servers (files, fdatasync, TCP on loopback) and a fourth that joins later, each in a process with the
collector set as the daemon sets it. Steps: fill; snapshot on the leader; a follower away for `--missed` writes; a
newcomer that gets the whole state; a restore of all by an operator; a restart. At the end a table of all of it. With a
directory that an earlier run has filled, nothing is filled.

A stall is how late a timer of 2 ms is. `held` is the processor time of the loop's thread in that wait: what the
program is to blame for on a machine that is busy otherwise.
`slowest` is the longest that one write took. EXPLAIN_MS=40 prints where the loop was;
RAFT_MULTIPLIER=20 keeps the leader where the machine is so busy that it would change.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from pathlib import Path
from typing import Any

EDGES_MS = (5, 10, 20, 50, 100, 200, 500, 1000, float("inf"))


class Loop:
    """How late the loop is, since the last look."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.late: Counter[float] = Counter()
        self.holds: Counter[float] = Counter()
        self.worst = self.held = 0.0

    async def watch(self) -> None:
        while True:
            wall, cpu = time.perf_counter(), time.thread_time()
            self.ticked = wall
            await asyncio.sleep(0.002)
            late = (time.perf_counter() - wall - 0.002) * 1000
            self.late[next(edge for edge in EDGES_MS if late <= edge)] += 1
            self.worst = max(self.worst, late)
            held = (time.thread_time() - cpu) * 1000
            self.holds[next(edge for edge in EDGES_MS if held <= edge)] += 1
            self.held = max(self.held, held)

    def explain(self, longer_s: float) -> None:
        """From a thread: where the loop is when it is late (what holds the interpreter lock is found at its end)."""
        import threading
        import traceback

        main = threading.get_ident()
        self.ticked = time.perf_counter()

        def look() -> None:
            told = 0.0
            while True:
                time.sleep(0.003)
                if time.perf_counter() - self.ticked > longer_s and told != self.ticked:
                    told = self.ticked
                    stack = traceback.extract_stack(sys._current_frames()[main])
                    where = " < ".join(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in reversed(stack[-9:]))
                    print(f"late by {(time.perf_counter() - told) * 1000:.0f} ms: {where}", file=sys.stderr)

        threading.Thread(target=look, daemon=True).start()

    def facts(self) -> dict[str, Any]:
        return {
            "late": [self.late[edge] for edge in EDGES_MS],
            "held": [self.holds[edge] for edge in EDGES_MS],
            "worst_ms": round(self.worst, 1),
            "held_ms": round(self.held, 1),
        }


class Server:
    def __init__(self, name: str, port: int, directory: Path) -> None:
        from meshagent.catalog.raft.opening import open_raft_log
        from meshagent.catalog.raft.settings import RaftSettings
        from meshagent.catalog.rpc.hello import Identity
        from meshagent.catalog.rpc.peers import Peers
        from meshagent.catalog.rpc.raft_transport import RpcTransport
        from meshagent.catalog.rpc.server import RpcServer
        from meshagent.catalog.rpc.tls import Security
        from meshagent.catalog.store import Store
        from meshagent.clock import SystemClock
        from meshagent.metrics import Metrics, MetricsSettings

        self.name = name
        self.store = Store()
        clock = SystemClock()
        metrics = Metrics(MetricsSettings(), clock.monotonic)
        identity = Identity(name, name, "dc1")
        rng = random.Random(name)
        self.server = RpcServer(identity, clock=clock, metrics=metrics, methods={})
        self.server.listen("127.0.0.1", port)
        self.peers = Peers(identity=lambda: identity, security=Security, clock=clock, rng=rng, metrics=metrics)
        self.log = open_raft_log(
            self.store,
            directory / name,
            node_id=name,
            address=f"127.0.0.1:{port}",
            clock=clock,
            rng=rng,
            settings=RaftSettings(multiplier=int(os.environ.get("RAFT_MULTIPLIER", "5"))),
            metrics=metrics,
            transport=RpcTransport(self.server, self.peers, metrics),
            joins=True,
        )
        self.loop = Loop()
        self.written = 0
        self.slowest = 0.0
        self.writing: list[asyncio.Task[None]] = []

    async def do(self, what: str, *arguments: Any) -> Any:
        return await getattr(self, f"do_{what}")(*arguments)

    async def do_bootstrap(self, servers: dict[str, str]) -> None:
        await self.log.bootstrap(servers)
        while not self.log.is_leader:
            await asyncio.sleep(0.01)

    async def do_fill(self, begin: int, end: int) -> None:
        from meshagent.catalog.commands import KVSet, encode

        flying: deque[asyncio.Future[Any]] = deque()
        for number in range(begin, end):
            key = f"app/{number * 7919 % 1000}/key-{number:07d}"
            flying.append(self.log.propose(encode(KVSet(key, b"value-%064d" % number))))
            if len(flying) >= 4096:
                await flying.popleft()
        await asyncio.gather(*flying)

    async def do_write(self, on: bool, keys: int) -> int:
        """64 clients that overwrite; how many writes since the last call."""
        if on and not self.writing:
            self.writing = [asyncio.ensure_future(self._client(random.Random(n), keys)) for n in range(64)]
        elif not on:
            for task in self.writing:
                task.cancel()
            self.writing = []
        written, self.written = self.written, 0
        return written

    async def _client(self, rng: random.Random, keys: int) -> None:
        from meshagent.catalog.commands import KVSet, encode
        from meshagent.errors import MeshError

        while True:
            number = rng.randrange(keys)
            key = f"app/{number * 7919 % 1000}/key-{number:07d}"
            began = time.perf_counter()
            try:
                await self.log.propose(encode(KVSet(key, b"again-%064d" % rng.getrandbits(60))), rng.randbytes(16))
            except MeshError as error:
                print(f"a write failed: {error!r}", file=sys.stderr)
                await asyncio.sleep(0.5)
                continue
            self.slowest = max(self.slowest, time.perf_counter() - began)
            self.written += 1

    async def do_snapshot(self) -> None:
        while self.log._compaction is not None and self.log._compaction._under_way:
            await asyncio.sleep(0.05)
        await self.log.snapshot()

    async def do_restore(self) -> None:
        _, chunks = self.log.save_snapshot()
        await self.log.restore_snapshot(chunks)

    async def do_add(self, name: str, address: str) -> None:
        await self.log.add_server(name, address)

    async def do_wait(self, index: int) -> None:
        while self.log.applied_index < index:
            await asyncio.sleep(0.005)

    async def do_facts(self) -> dict[str, Any]:
        statm = Path("/proc/self/statm").read_text().split()
        facts = {
            **self.loop.facts(),
            "slowest_ms": round(self.slowest * 1000),
            "rss_mb": round(int(statm[1]) * 4096 / 1e6),
            "applied": self.log.applied_index,
        }
        self.loop.reset()
        self.slowest = 0.0
        return {**facts, "keys": len(self.store.kv.entries), "leads": self.log.is_leader}

    async def do_size(self) -> int:
        """Bytes of keys and values alone, and as Consul's snapshot has them."""
        size = 0
        for chunk in self.store.snapshot():
            size += len(chunk)
            await asyncio.sleep(0)
        return size


async def serve(name: str, port: int, directory: Path) -> None:
    began = time.perf_counter()
    server = Server(name, port, directory)
    await server.log.start()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    watching = asyncio.ensure_future(server.loop.watch())
    if os.environ.get("EXPLAIN_MS"):
        server.loop.explain(float(os.environ["EXPLAIN_MS"]) / 1000)
    print(json.dumps({"started_s": round(time.perf_counter() - began, 2), **await server.do_facts()}), flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await server.do(*json.loads(line))), flush=True)
    watching.cancel()
    await server.log.stop()


class Process:
    def __init__(self, name: str, port: int, directory: Path) -> None:
        self.name, self.port, self.directory = name, port, directory
        self.address = f"127.0.0.1:{port}"
        self.start()

    def start(self) -> dict[str, Any]:
        began = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--serve", self.name, str(self.port), "--directory", str(self.directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        facts: dict[str, Any] = json.loads(self._line())
        return {"process_s": round(time.perf_counter() - began, 2), **facts}

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended with {self.process.wait()}")
        return line

    def tell(self, *what: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()

    def hear(self) -> Any:
        return json.loads(self._line())

    def ask(self, *what: Any) -> Any:
        self.tell(*what)
        return self.hear()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


ROWS: list[tuple[str, dict[str, Any], float | None]] = []


def say(what: str, facts: Any = "") -> None:
    print(f"{what}: {facts}", flush=True)


def phase(name: str, facts: dict[str, Any], share: float | None = None) -> None:
    """One row of the table. `share`: writes, as a part of what is normal."""
    ROWS.append((name, facts, share))
    held = {f"<={edge:g}": count for edge, count in zip(EDGES_MS, facts["held"], strict=True) if count}
    say(f"  {name}", f"held {facts['held_ms']} ms, late {facts['worst_ms']} ms, writes {share}, {held}")


def table() -> None:
    """The histograms, as `docs/benchmarks.md` shows them."""
    edges = " | ".join(f"<= {edge:g}" for edge in EDGES_MS[:-1])
    print(f"\n| phase | held (late) at most, ms | writes | slowest, ms | {edges} | more |")
    print("| --- " * (5 + len(EDGES_MS)) + "|")
    for name, facts, share in ROWS:
        counts = " | ".join(f"{count:,}" if count else "" for count in facts["held"])
        writes = "" if share is None else f"{share:.2f}"
        slowest = facts["slowest_ms"] or ""
        print(f"| {name} | {facts['held_ms']} ({facts['worst_ms']}) | {writes} | {slowest} | {counts} |")


def rate(leader: Process, seconds: float, keys: int) -> float:
    leader.ask("write", True, keys)
    began = time.perf_counter()
    time.sleep(seconds)
    return float(leader.ask("write", True, keys)) / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--missed", type=int, default=100_000)
    parser.add_argument("--directory", type=Path)
    parser.add_argument("--port", type=int, default=28300)
    parser.add_argument("--only", default="snapshot,away,newcomer,restore,restart", help="of the steps, with commas")
    parser.add_argument("--serve", nargs=2, metavar=("NAME", "PORT"))
    options = parser.parse_args()
    if options.serve:
        import uvloop

        logging.basicConfig(level="WARNING", stream=sys.stderr, format="%(asctime)s %(message)s")
        uvloop.run(serve(options.serve[0], int(options.serve[1]), options.directory))
        return
    with tempfile.TemporaryDirectory() as temporary:
        drive(options, options.directory or Path(temporary))


def drive(options: argparse.Namespace, directory: Path) -> None:
    keys = options.keys
    filled = (directory / "s1").exists()
    one, two, three = everyone = [Process(f"s{n}", options.port + n, directory) for n in (1, 2, 3)]
    only = options.only.split(",")
    try:
        if not filled:
            fill(one, everyone, keys)
        one = led(everyone)
        two, three = (each for each in everyone if each is not one)
        size = one.ask("size")
        say("raw size, as Consul would write it (key, value, flags, indexes)", f"{size / 1e6:.0f} MB")
        facts = one.ask("facts")
        say("memory of the leader", f"{facts['rss_mb']} MB, {facts['rss_mb'] * 1e6 / size:.2f} x raw")
        normal = rate(one, 4, keys)
        say("writes a second, normal", f"{normal:,.0f}")
        phase("normal", one.ask("facts"), 1.0)
        if "snapshot" in only:
            snapshot(one, keys, normal)
        if "away" in only:
            away(one, three, options.missed, keys, normal)
        if "newcomer" in only:
            everyone.append(Process("s4", options.port + 4, directory / "new"))
            newcomer(one, everyone[-1], keys, normal)
        if "restore" in only:
            restore(one, two, keys, normal)
        one.ask("write", False, keys)
        if "restart" in only:
            two.ask("snapshot")
            two.kill()
            facts = two.start()
            say("restart with all keys", {**facts, "times_raw": round(facts["rss_mb"] * 1e6 / size, 2)})
    finally:
        table()
        for each in everyone:
            each.kill()


def led(everyone: list[Process]) -> Process:
    """Who leads, when somebody does."""
    while True:
        for each in everyone:
            if each.ask("facts")["leads"]:
                return each
        time.sleep(0.1)


def fill(one: Process, everyone: list[Process], keys: int) -> None:
    one.ask("bootstrap", {each.name: each.address for each in everyone})
    began = time.perf_counter()
    one.ask("fill", 0, keys)
    say(f"filled {keys} keys", f"{time.perf_counter() - began:.1f} s")


def snapshot(one: Process, keys: int, normal: float) -> None:
    began = time.perf_counter()
    one.ask("snapshot")
    took = time.perf_counter() - began
    written = one.ask("write", True, keys)
    say(f"snapshot while serving: {took:.1f} s")
    phase("a snapshot is taken", one.ask("facts"), written / took / normal)


def away(one: Process, three: Process, least: int, keys: int, normal: float) -> None:
    three.kill()
    missed = 0
    while missed < least:
        missed += one.ask("write", True, keys)
        time.sleep(0.05)
    one.ask("write", False, keys)
    index = one.ask("facts")["applied"]
    started = three.start()
    say(f"a follower was away for {missed} writes; it starts", started)
    began = time.perf_counter()
    one.ask("write", True, keys)
    three.ask("wait", index)
    took = time.perf_counter() - began
    written = one.ask("write", True, keys)
    say(f"it has them after {took:.2f} s")
    phase("a follower catches up: leader", one.ask("facts"), written / took / normal)
    phase("a follower catches up: follower", three.ask("facts"))


def newcomer(one: Process, four: Process, keys: int, normal: float) -> None:
    began = time.perf_counter()
    one.ask("write", True, keys)
    index = one.ask("facts")["applied"]
    one.ask("add", four.name, four.address)
    four.ask("wait", index)
    took = time.perf_counter() - began
    written = one.ask("write", True, keys)
    say(f"a newcomer has all after {took:.1f} s")
    phase("the state is sent: leader", one.ask("facts"), written / took / normal)
    phase("the state is sent: newcomer", four.ask("facts"))


def restore(one: Process, two: Process, keys: int, normal: float) -> None:
    two.ask("facts")
    one.ask("write", True, keys)
    began = time.perf_counter()
    one.ask("restore")
    took = time.perf_counter() - began
    written = one.ask("write", True, keys)
    say(f"restored after {took:.1f} s")
    phase("an operator restores: leader", one.ask("facts"), written / took / normal)
    time.sleep(3)
    phase("an operator restores: follower", two.ask("facts"))


if __name__ == "__main__":
    main()
