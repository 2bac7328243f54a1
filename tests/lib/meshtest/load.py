"""I/O edge: the load tools as functions that give one figure each: dnsperf, wrk, and the watchers."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from meshtest import ROOT

BENCH = ROOT / "bench"
SEARCH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


class NotMeasured(RuntimeError):
    """A tool is absent, or what it measured did not answer well."""


def tool(name: str) -> str:
    found = shutil.which(name, path=SEARCH)
    if found is None:
        raise NotMeasured(f"{name} is not installed: run tests/prepare")
    return found


def run(argv: list[str], timeout_s: float, **env: str) -> str:
    done = subprocess.run(
        argv, capture_output=True, text=True, timeout=timeout_s, check=False, env={**os.environ, **env}
    )
    if done.returncode != 0:
        raise NotMeasured(f"{argv[0]}: exit {done.returncode}: {done.stderr[-500:] or done.stdout[-500:]}")
    return done.stdout


def dnsperf(port: int, questions: Path, seconds: float, rcodes: str = "NOERROR") -> float:
    """Answers a second; refuses a run that lost more than one in a thousand or had other answers than expected."""
    argv = [tool("dnsperf"), "-s", "127.0.0.1", "-p", str(port), "-d", str(questions), "-c", "4", "-q", "100"]
    printed = run([*argv, "-l", f"{max(1, round(seconds))}"], seconds + 30)
    lost = re.search(r"Queries lost:\s+(\d+) \(([\d.]+)%\)", printed)
    if lost is None or float(lost[2]) > 0.1:
        raise NotMeasured(f"dnsperf lost {lost[1] if lost else 'all'} questions")
    codes = re.search(r"Response codes:\s+(.+)", printed)
    seen = set(re.findall(r"([A-Z]+) \d+", codes[1])) if codes else set()
    if not seen <= set(rcodes.split("|")):
        raise NotMeasured(f"answers were {codes[1] if codes else 'none'}, expected {rcodes}")
    return float(re.search(r"Queries per second:\s+([\d.]+)", printed)[1])  # type: ignore[index]


def wrk(
    port: int,
    path: str,
    seconds: float,
    *,
    connections: int = 32,
    script: str = "",
    round_name: str = "0",
    headers: Sequence[str] = (),
) -> float:
    """Requests a second; refuses a run with any answer outside 2xx."""
    argv = [tool("wrk"), "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s"]
    if script:
        argv += ["-s", str(BENCH / script)]
    argv += [word for header in headers for word in ("-H", header)]
    printed = run([*argv, f"http://127.0.0.1:{port}{path}"], seconds + 40, BENCH_ROUND=round_name)
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", printed)
    if bad:
        raise NotMeasured(f"{bad[1]} answers were not 2xx: {path}")
    return float(re.search(r"Requests/sec:\s+([\d.]+)", printed)[1])  # type: ignore[index]


def wrk_p99(port: int, path: str, seconds: float, *, connections: int = 32) -> float:
    """The 99th percentile of the time to an answer, in ms, with every connection always waiting for one."""
    argv = [tool("wrk"), "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s", "--latency"]
    printed = run([*argv, f"http://127.0.0.1:{port}{path}"], seconds + 40)
    found = re.search(r"99%\s+([\d.]+)(us|ms|s)\b", printed)
    if found is None or "Non-2xx" in printed:
        raise NotMeasured(f"no answers, or bad ones: {path}")
    return float(found[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[found[2]]


def last_watcher(port: int, count: int, path: str, method: str, change: str, body: str = "") -> tuple[float, int]:
    """Seconds from one change to the last byte of the last of `count` blocking answers, and the bytes of one."""
    argv = [sys.executable, "-P", str(BENCH / "watchers.py"), str(port), str(count), path, method, change, body]
    result = json.loads(run(argv, 120))
    if result["early"]:
        raise NotMeasured(f"{result['early']} watchers did not wait")
    return result["seconds"], result["bytes"]
