"""I/O edge: clients against real servers while things go wrong; afterwards every answer is checked.

    python tests/chaos/run.py --seconds 600 [--seed N] [--servers 5] [--fault isolate_leader] [--build no_lease]
    python tests/chaos/run.py --check HISTORY      looks at a saved history again
    python tests/chaos/run.py --list               the faults, and the builds with a rule taken out

Exits 1 when an answer cannot be true, a server ends by itself or does not come back, and says how to run and how to
check it again; 2 when the checker gave up. `default` and `consistent` reads and all writes must be linearizable, key by
key; `stale` reads never go back (tests/lib/meshtest/linearizability).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from meshtest.chaos import private
from meshtest.chaos.builds import BUILDS, command_of
from meshtest.chaos.client import Workload
from meshtest.chaos.cluster import SMALL_LOG, Cluster
from meshtest.chaos.nemesis import FAULTS, Nemesis
from meshtest.chaos.network import Loopback, Namespaces
from meshtest.linearizability import Operation, check, check_stale, load, save
from meshtest.linearizability.checker import summary
from meshtest.process import AgentFailed


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long things go wrong (default 60)")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--servers", type=int, default=3)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--fault", action="append", default=[], choices=list(FAULTS), help="only these")
    parser.add_argument("--build", default="", choices=["", *BUILDS], help="a build with a rule taken out")
    parser.add_argument("--history", type=Path, help="keep the history here, good or bad")
    parser.add_argument("--check", type=Path, help="only check this history")
    parser.add_argument("--list", action="store_true")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    if options.list:
        print("faults:", *FAULTS, sep="\n  ")
        print("builds:", *(f"{name}: {build.what}" for name, build in BUILDS.items()), sep="\n  ")
        return 0
    if options.check is not None:
        return judged(load(options.check), [])
    if options.seed is None:
        options.seed = random.SystemRandom().randrange(10**6)
    apart = private.enter()
    print(f"seed {options.seed}, {options.servers} servers, {options.seconds:.0f} s", flush=True)
    if not apart:
        print("NO NAMESPACES HERE: servers share loopback; partitions, loss and small disks are left out", flush=True)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    try:
        rows, problems, facts = asyncio.run(torment(options, apart=apart))
    except KeyboardInterrupt:
        print("stopped; nothing is left behind")
        return 130
    status = judged(rows, problems)
    print(json.dumps({"seed": options.seed, "status": status, **facts}), flush=True)
    if status or options.history:
        path = options.history or Path(tempfile.gettempdir()) / f"chaos-{options.seed}.history"
        save(rows, path)
        again = f"--seed {options.seed} --seconds {options.seconds:.0f} --servers {options.servers}"
        again += "".join(f" --fault {name}" for name in options.fault)
        again += f" --build {options.build}" if options.build else ""
        print(f"history kept; check it again: python tests/chaos/run.py --check {path}")
        print(f"the same faults again: python tests/chaos/run.py {again}")
    return status


async def torment(options: argparse.Namespace, *, apart: bool) -> tuple[list[Operation], list[str], dict[str, object]]:
    """The rows, what else went wrong, and the counts."""
    names = [f"s{number}" for number in range(1, options.servers + 1)]
    network = (Namespaces if apart else Loopback)(names)
    with Cluster(network, config=SMALL_LOG, command=command_of(options.build)) as cluster:
        for server in cluster.servers.values():
            cluster.start(server)
        nemesis = Nemesis(cluster, random.Random(options.seed), only=tuple(options.fault), say=say)
        workload = Workload(cluster, options.seed, clients=options.clients)
        try:
            took = await asyncio.to_thread(cluster.wait_writable, 40.0)
        except (TimeoutError, AgentFailed) as error:
            return [], [f"it did not begin: {error}", *logs(cluster)], {}
        say(f"{'all takes writes':22} {took:5.1f} s after the start")
        load_ = asyncio.create_task(workload.run())
        try:
            await nemesis.run(time.monotonic() + options.seconds)
            await asyncio.sleep(0.5)
        finally:
            workload.stopped = True
            await load_
        if not nemesis.problems:
            await workload.last_reads()
            nemesis.problems += await asyncio.to_thread(unequal, cluster)
        problems = nemesis.problems + workload.odd + tracebacks(cluster)
        if nemesis.problems:
            problems += logs(cluster)
        say(f"{len(workload.rows)} operations: {summary(workload.rows)}")
        say(f"answers: {dict(workload.answers.most_common(12))}")
        say(f"faults: {sum(nemesis.counts.values())}: {dict(nemesis.counts)}, {dict(nemesis.notes)}")
        recoveries = sorted(nemesis.recoveries) or [0.0]
        facts: dict[str, object] = {
            "faults": dict(nemesis.counts),
            "operations": len(workload.rows),
            "recovery_p50_s": round(recoveries[len(recoveries) // 2], 2),
            "recovery_max_s": round(recoveries[-1], 2),
        }
        return workload.rows, problems, facts


def judged(rows: list[Operation], problems: list[str]) -> int:
    """Prints the verdict; the exit status."""
    started = time.monotonic()
    verdict, stale = check(rows), check_stale(rows)
    problems = verdict.problems + stale.problems + problems
    modes = Counter(row.mode for row in rows if row.kind == "get")
    say(
        f"checked in {time.monotonic() - started:.1f} s: {verdict.operations} operations on {verdict.keys} keys"
        f" ({verdict.loose} writes of unknown outcome), {stale.operations} stale reads; reads {dict(modes)}"
    )
    for key in verdict.undecided:
        print(f"UNDECIDED: {key}: the search was given up")
    for problem in problems[:20]:
        print(f"PROBLEM: {problem}")
    if len(problems) > 20:
        print(f"and {len(problems) - 20} more")
    return 1 if problems else 2 if verdict.undecided else 0


def unequal(cluster: Cluster) -> list[str]:
    """Whether the servers end up with the same keys."""
    last: dict[str, bytes] = {}
    for _ in range(100):
        last = {
            name: server.agent.http("GET", "/v1/kv/chaos/?recurse&stale", timeout_s=10).body
            for name, server in cluster.servers.items()
        }
        if len(set(last.values())) == 1:
            return []
        time.sleep(0.1)
    return [f"the servers differ after 10 s of rest: { ({name: hash(body) for name, body in last.items()}) }"]


def tracebacks(cluster: Cluster) -> list[str]:
    """What failed in a way that nobody had foreseen: each kind once, with its trace."""
    kinds: dict[str, list[str]] = {}
    for server in cluster.servers.values():
        for trace in re.findall(r"Traceback \(most recent call last\):\n(?:.*\n)*?(?!  | *\| )", server.agent.log()):
            lines = trace.strip().split("\n")
            kinds.setdefault("\n".join(lines[-5:]), []).append(trace)
    return [f"{len(traces)} times in the logs: {traces[0]}" for traces in kinds.values()]


def logs(cluster: Cluster) -> list[str]:
    """Where the logs were kept."""
    kept = Path(tempfile.mkdtemp(prefix="chaos-logs-"))
    for name, server in cluster.servers.items():
        if server.agent.log_path.exists():
            shutil.copy(server.agent.log_path, kept / f"{name}.log")
    return [f"the servers' logs: {kept}"]


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
