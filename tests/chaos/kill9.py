"""I/O edge: kill -9 under a write load, again and again: every acknowledged write is there after each restart.

    PYTHONPATH=tests/lib python tests/chaos/kill9.py --rounds 1000 [--seed N] [--command "..."]

Each writer owns its keys and counts upward in them, so after a restart a key may hold its last acknowledged value or
the one in flight when the process died, and nothing else. Every fifth kill comes while the agent is starting. A line
is printed every 25 rounds, the seed on failure; exits 1 when a write is lost, undone or made up.
"""

from __future__ import annotations

import argparse
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


if __name__ == "__main__":
    sys.exit(main())
