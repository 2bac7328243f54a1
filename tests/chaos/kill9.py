<<<<<<< HEAD
"""I/O edge: kill -9 under a write load, again and again: every acknowledged write is there after each restart.

    PYTHONPATH=tests/lib python tests/chaos/kill9.py --rounds 1000 [--seed N] [--command "..."]

Each writer owns its keys and counts upward in them, so after a restart a key may hold its last acknowledged value or
the one in flight when the process died, and nothing else. Every fifth kill comes while the agent is starting. A line
is printed every 25 rounds, the seed on failure; exits 1 when a write is lost, undone or made up.
=======
"""Kill a writing server with SIGKILL again and again; every write it acknowledged must be there afterwards.

    python tests/chaos/kill9.py [--rounds 50] [--seed N]              a small program: the log and a dictionary
    python tests/chaos/kill9.py --agent [--rounds 50]                 a whole `meshagent agent`, over HTTP
    python tests/chaos/kill9.py --break-ack                           a broken build that must be caught (exit 1)
    python tests/chaos/kill9.py --break-fsync                         see below

All rounds use one data directory with small segments and snapshot thresholds, so that files roll over. Some kills hit
the start. Values only grow: a key must hold the last acknowledged value or a newer one. Exits 1 when one is lost.

What this cannot see: a build that never calls fdatasync. The page cache outlives the process, so after SIGKILL all
that was written is still read back. `--break-fsync` therefore runs the same kind of check on the simulated disk
(tests/catalog/raft/test_recovery.py), whose `lying=True` is that build.
>>>>>>> h/raft
"""

from __future__ import annotations

import argparse
<<<<<<< HEAD
import base64
import http.client
import json
import random
import shlex
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from meshtest.process import AgentFailed, AgentProcess

KEYS_EACH = 40


@dataclass(slots=True)
class Writer:
    """One connection's writes: per key the last acknowledged count (None: deleted), and what was in flight."""

    name: str
    rng: random.Random
    count: int = 0
    acknowledged: dict[str, int | None] = field(default_factory=dict)
    flying: tuple[str, int | None] | None = None
    writes: int = 0

    def write(self, port: int, stop: threading.Event) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            while not stop.is_set():
                key = f"soak/{self.name}/{self.rng.randrange(KEYS_EACH)}"
                self.count += 1
                value = None if self.rng.random() < 0.1 else self.count
                self.flying = (key, value)
                if value is None:
                    connection.request("DELETE", f"/v1/kv/{key}")
                else:
                    connection.request("PUT", f"/v1/kv/{key}", body=str(value))
                response = connection.getresponse()
                body = response.read()
                if response.status == 200 and body.strip() == b"true":
                    self.acknowledged[key] = value
                    self.flying = None
                    self.writes += 1
        except (OSError, http.client.HTTPException):
            return
        finally:
            connection.close()

    def problems(self, stored: dict[str, int]) -> list[str]:
        found = []
        allowed: dict[str, set[int | None]] = {key: {value} for key, value in self.acknowledged.items()}
        if self.flying is not None:
            key, value = self.flying
            allowed.setdefault(key, {None}).add(value)
        for key, values in allowed.items():
            if stored.get(key) not in values:
                found.append(f"{key}: holds {stored.get(key)}, may hold {sorted(values, key=str)}")
            elif self.flying is not None and key == self.flying[0]:
                self.acknowledged[key] = stored.get(key)  # what was in flight is settled now
        self.flying = None
        mine = f"soak/{self.name}/"
        found += [f"{key}: was never written" for key in stored if key.startswith(mine) and key not in allowed]
        return found


def stored(agent: AgentProcess) -> dict[str, int]:
    answer = agent.http("GET", "/v1/kv/soak/?recurse", timeout_s=30)
    rows = json.loads(answer.body) if answer.status == 200 else []
    return {row["Key"]: int(base64.b64decode(row["Value"])) for row in rows}


def one_round(agent: AgentProcess, writers: list[Writer], rng: random.Random, number: int) -> list[str]:
    """Load, kill, restart, look. The agent runs before and after."""
    before = int(agent.http("GET", "/v1/kv/soak/?keys").headers["x-consul-index"])
    stop = threading.Event()
    threads = [threading.Thread(target=one.write, args=(agent.ports["http"], stop)) for one in writers]
    for thread in threads:
        thread.start()
    time.sleep(rng.uniform(0.02, 0.3))
    agent.kill()
    stop.set()
    for thread in threads:
        thread.join()
    if number % 5 == 4:  # and once more while it reads its journal
        agent.start(ready=False)
        time.sleep(rng.uniform(0.05, 0.6))
        agent.kill()
    agent.start()
    after = int(agent.http("GET", "/v1/kv/soak/?keys").headers["x-consul-index"])
    found = [f"the index went back from {before} to {after}"] if after < before else []
    rows = stored(agent)
    return found + [problem for one in writers for problem in one.problems(rows)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=int.from_bytes(random.SystemRandom().randbytes(4)))
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--command", default="")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    writers = [Writer(f"w{at}", random.Random(rng.random())) for at in range(options.writers)]
    started = time.monotonic()
    # small segments and frequent snapshots, so that truncation is hit too
    extra = {"log_level": "WARN", "raft_snapshot_threshold": 2000, "raft_trailing_logs": 500}
    with AgentProcess.server(extra, command=shlex.split(options.command) or None) as agent:
        for number in range(options.rounds):
            try:
                found = one_round(agent, writers, rng, number)
            except AgentFailed as failure:
                found = [str(failure)]
            if found:
                print(f"round {number}, seed {options.seed}: {len(found)} problems", *found[:20], sep="\n  ")
                print(agent.log()[-3000:])
                return 1
            if number % 25 == 24 or number == options.rounds - 1:
                writes = sum(one.writes for one in writers)
                print(
                    f"{number + 1:5} rounds, {writes:8} acknowledged writes, none lost, "
                    f"{time.monotonic() - started:6.0f} s",
                    flush=True,
                )
    return 0
=======
import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

WRITERS = 32
KEYS_OF_A_WRITER = 8
START_LIMIT_S = 30.0

State = dict[str, int]


class Target(Protocol):
    """A server that can be started, written to, and killed. `acknowledged` grows while `load` runs."""

    acknowledged: State
    count: int  # of acknowledged writes

    async def start(self) -> State | None:
        """What it holds once it serves; None when it was killed before that."""

    async def load(self, seconds: float, first_value: int) -> None: ...

    async def kill(self) -> None: ...


def spawn(command: list[str], **options: Any) -> Any:
    return asyncio.create_subprocess_exec(*command, **options)


# -- the small program


class Child:
    """The log and a dictionary in a process of their own; it writes what was acknowledged to its standard output."""

    def __init__(self, directory: Path, *, broken: bool) -> None:
        self._command = [sys.executable, __file__, "--child", str(directory), *(["--break-ack"] if broken else [])]
        self._process: asyncio.subprocess.Process | None = None
        self.acknowledged: State = {}
        self.count = 0

    async def start(self) -> State | None:
        self._process = await spawn(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
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
        self._process.send_signal(signal.SIGKILL)
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
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)
            await self._process.wait()


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
    from meshagent.catalog.raft.replica import open_raft_log
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


# -- a whole agent


class AgentProcess:
    """`meshagent agent` with a data directory; keys are written over its HTTP API."""

    def __init__(self, directory: Path) -> None:
        ports = {name: _free_port() for name in ("http", "serf_lan", "server", "dns")}
        self._port = ports["http"]
        self._config = directory / "agent.json"
        self._output = (directory / "agent.log").open("ab")
        self._config.write_text(
            json.dumps(
                {
                    "server": True,
                    "bootstrap": True,
                    "node_name": "kill9",
                    "data_dir": str(directory / "data"),
                    "bind_addr": "127.0.0.1",
                    "client_addr": "127.0.0.1",
                    "ports": {**ports, "grpc": -1, "grpc_tls": -1, "https": -1, "serf_wan": -1},
                    "raft_snapshot_threshold": 500,
                    "raft_snapshot_interval": "1s",
                    "raft_trailing_logs": 200,
                }
            )
        )
        self._process: asyncio.subprocess.Process | None = None
        self.acknowledged: State = {}
        self.count = 0

    async def start(self) -> State | None:
        command = [sys.executable, "-m", "meshagent", "agent", "-config-file", str(self._config)]
        scripts = Path(sys.executable).with_name("meshagent")
        if scripts.exists():
            command[:3] = [str(scripts)]
        self._process = await spawn(command, stdout=self._output, stderr=self._output)
        until = time.monotonic() + START_LIMIT_S
        while time.monotonic() < until:
            if self._process.returncode is not None:
                if self._process.returncode == -signal.SIGKILL:
                    return None
                break
            with contextlib.suppress(OSError, EOFError, ValueError):
                async with Http(self._port) as http:
                    status, body = await http.request("GET", "/v1/status/leader")
                    if status == 200 and len(body) > 4:
                        return await self._read_all(http)
            await asyncio.sleep(0.02)
        raise SystemExit(f"the agent did not start: see {self._output.name}")

    async def _read_all(self, http: Http) -> State:
        state: State = {}
        for number in range(WRITERS):
            for position in range(KEYS_OF_A_WRITER):
                key = f"w{number}-{position}"
                status, body = await http.request("GET", f"/v1/kv/kill9/{key}?raw")
                if status == 200:
                    state[key] = int(body.split()[0])
                elif status != 404:
                    raise ValueError(f"GET {key}: {status} {body!r}")
        return state

    async def load(self, seconds: float, first_value: int) -> None:
        values = iter(range(first_value, first_value + 10**9))
        writers = [asyncio.ensure_future(self._write(number, values)) for number in range(WRITERS)]
        await asyncio.sleep(seconds)
        await self.kill()
        await asyncio.gather(*writers)

    async def _write(self, number: int, values: Iterator[int]) -> None:
        with contextlib.suppress(OSError, EOFError, ValueError):
            async with Http(self._port) as http:
                while True:
                    for position in range(KEYS_OF_A_WRITER):
                        key, value = f"w{number}-{position}", next(values)
                        body = b"%d " % value + b"x" * (value % 300)
                        status, answer = await http.request("PUT", f"/v1/kv/kill9/{key}", body)
                        if (status, answer.strip()) != (200, b"true"):
                            raise SystemExit(f"PUT {key}: {status} {answer!r}")
                        self.acknowledged[key] = value
                        self.count += 1

    async def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)
            await self._process.wait()


class Http:
    """One keep-alive connection."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> Http:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def request(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        self._writer.write(head.encode() + body)
        lines = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        return int(lines[0].split()[1]), await self._reader.readexactly(int(headers.get("content-length", "0")))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# -- the rounds


async def torment(target: Target, *, rounds: int, rng: random.Random, directory: Path) -> int:
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


async def _kill_later(target: Target, delay_s: float) -> None:
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
    parser.add_argument("--agent", action="store_true", help="a whole agent over HTTP")
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
        target: Target
        target = AgentProcess(directory) if arguments.agent else Child(directory, broken=arguments.break_ack)

        async def run() -> int:
            try:
                return await torment(target, rounds=arguments.rounds, rng=random.Random(seed), directory=directory)
            finally:
                await target.kill()

        return asyncio.run(run())
>>>>>>> h/raft


if __name__ == "__main__":
    sys.exit(main())
