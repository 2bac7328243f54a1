"""What 10,000 HTTP checks each 10 s cost an agent: CPU, memory, and how long others wait for the loop.

Run by hand: `.venv/bin/python tests/agent/checks/measure_runner.py [checks] [seconds]`. The targets are
another process.
"""

import asyncio
import multiprocessing
import random
import resource
import socket
import sys
import time

import psutil
import uvloop
from measure_http import serve

from meshagent.agent.checks.probe import CheckSettings
from meshagent.agent.checks.scheduler import CheckRunner
from meshagent.agent.definitions import CheckDefinition
from meshagent.clock import SystemClock, Tasks


async def main(port: int, count: int, seconds: float) -> None:
    clock, tasks = SystemClock(), Tasks()
    reports = 0

    def report(check_id, status, output):
        nonlocal reports
        reports += status == "passing"

    runner = CheckRunner(clock=clock, rng=random.Random(1), tasks=tasks, report=report, config=CheckSettings())
    empty = psutil.Process().memory_info().rss
    definition = CheckDefinition(http=f"http://127.0.0.1:{port}/health", interval=10.0)
    started = time.perf_counter()
    for n in range(count):
        runner.add(f"check-{n}", definition)
    print(f"registering: {(time.perf_counter() - started) / count * 1e6:.0f} us a check")
    await asyncio.sleep(10)
    lags = []
    before, wall, done = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter(), reports
    while time.perf_counter() - wall < seconds:
        asked = time.perf_counter()
        await asyncio.sleep(0)
        lags.append(time.perf_counter() - asked)
        await asyncio.sleep(0.001)
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    lags.sort()
    memory = (psutil.Process().memory_info().rss - empty) / count
    print(
        f"{(reports - done) / seconds:.0f} passing/s, {cpu / seconds:.1%} of a core, {memory:.0f} bytes a check; "
        f"one turn of the loop: median {lags[len(lags) // 2] * 1e3:.2f} ms, "
        f"99.9 % {lags[-len(lags) // 1000] * 1e3:.2f} ms, longest {lags[-1] * 1e3:.2f} ms"
    )
    runner.stop()
    await tasks.cancel()


if __name__ == "__main__":
    arguments = [float(word) for word in sys.argv[1:]] + [10_000, 20][len(sys.argv) - 1 :]
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    server = multiprocessing.get_context("fork").Process(target=serve, args=(listener,), daemon=True)
    server.start()
    uvloop.run(main(listener.getsockname()[1], int(arguments[0]), arguments[1]))
    server.terminate()
