"""Timings of the HTTP API as ratios to a bare aiohttp handler that sends the same bytes in the same run.

`run()` starts two server processes on loopback (ours with a log in memory, and the yardstick), sets the scene, and
drives both in turns with wrk. Figures ending in `_ratio` are ours over the yardstick; a ratio above 1 is faster.

Source: design.md rule 5 "The hot paths serve bytes". Needs wrk (Debian package `wrk`).
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parents[1] / "tests" / "lib"))
ROUNDS = 3
SECONDS = 2
WATCHERS = 500

_SET = """wrk.method = "PUT"
wrk.body = "0123456789abcdef"
local n = 0
request = function()
  n = n + 1
  return wrk.format(nil, "/v1/kv/bench/" .. (n % 10000))
end
"""
_REGISTER = """wrk.method = "PUT"
wrk.headers["Content-Type"] = "application/json"
local n = 0
request = function()
  n = n + 1
  local id = n % 5000
  local form = '{"Node":"reg-%d","Address":"10.1.%d.%d","Service":{"ID":"r%d","Service":"reg","Port":%d}}'
  local body = string.format(form, id, math.floor(id / 250), id % 250, id, 1000 + n % 60000)
  return wrk.format(nil, "/v1/catalog/register", nil, body)
end
"""


# --- the servers -------------------------------------------------------------------------------------------------


async def _ours(port: int) -> None:
    from meshtest.httpapi import make_agent

    from meshagent.agent.http.server import HttpServer
    from meshagent.agent.http.settings import HttpSettings
    from meshagent.catalog.log import MemoryLog
    from meshagent.clock import SystemClock

    agent = make_agent(SystemClock(), MemoryLog)
    server = HttpServer(agent, HttpSettings(max_conns_per_client=5000))
    await server.listen("127.0.0.1", port)
    print("ready", flush=True)
    await asyncio.Event().wait()


async def _yardstick(port: int, bodies: dict[str, bytes]) -> None:
    from aiohttp import web

    release: asyncio.Event = asyncio.Event()
    headers = {
        "Content-Type": "application/json",
        "Vary": "Accept-Encoding",
        "X-Consul-Default-Acl-Policy": "allow",
        "X-Consul-Index": "12",
        "X-Consul-Knownleader": "true",
        "X-Consul-Lastcontact": "0",
    }

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        name = request.path[1:]
        if name == "release":
            release.set()
            return web.Response(text="ok")
        if name.startswith("wait-"):
            await release.wait()
            name = name[5:]
        if request.method == "PUT":
            await request.read()
            name = "true"
        return web.Response(body=bodies[name], headers=headers)

    server = web.Server(handler, access_log=None)
    await asyncio.get_running_loop().create_server(server, "127.0.0.1", port, backlog=1024)
    print("ready", flush=True)
    await asyncio.Event().wait()


class _Process:
    """A server in a process of its own."""

    def __init__(self, kind: str, extra: str = "") -> None:
        self.port = _free_port()
        self._process = subprocess.Popen(
            [sys.executable, str(HERE), kind, str(self.port), extra], stdout=subprocess.PIPE, text=True
        )
        out = self._process.stdout
        if out is None or not out.readline():
            raise RuntimeError(f"{kind} did not start")
        self.url = f"http://127.0.0.1:{self.port}"

    def call(self, method: str, path: str, body: Any = None) -> bytes:
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)
        with urllib.request.urlopen(request, timeout=30) as response:
            content: bytes = response.read()
            return content

    def rss_mb(self) -> float:
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        return int(found[1]) / 1024 if found else 0.0

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- the client --------------------------------------------------------------------------------------------------


def _wrk(url: str, connections: int, script: str = "", seconds: float = SECONDS) -> float:
    """Requests a second; raises when any answer was an error."""
    argv = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", url]
    if script:
        path = Path(f"/tmp/bench-http-{hash(script) & 0xFFFFFF:x}.lua")
        path.write_text(script)
        argv[1:1] = ["-s", str(path)]
    text = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in text:
        raise RuntimeError(text)
    found = re.search(r"Requests/sec:\s+([0-9.]+)", text)
    if found is None:
        raise RuntimeError(text)
    return float(found[1])


def _compare(ours: str, yardstick: str, connections: int = 32, script: str = "") -> tuple[float, float]:
    """(requests a second, ratio): medians over alternating rounds."""
    pairs = [(_wrk(ours, connections, script), _wrk(yardstick, connections, script)) for _ in range(ROUNDS)]
    return median(pair[0] for pair in pairs), median(pair[0] / pair[1] for pair in pairs)


async def _watch(port: int, path: str, trigger: Any) -> float:
    """Seconds from `trigger` until the last of the watchers has its whole answer."""
    ready = asyncio.Semaphore(0)

    async def one() -> float:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**22)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        ready.release()
        size = 0
        while part := await reader.read(1 << 20):
            size += len(part)
        writer.close()
        if size < 1000:
            raise RuntimeError(f"short answer: {size} bytes")
        return time.perf_counter()

    tasks = [asyncio.create_task(one()) for _ in range(WATCHERS)]
    for _ in tasks:
        await ready.acquire()
    await asyncio.sleep(1.0)
    started = time.perf_counter()
    await asyncio.to_thread(trigger)
    return max(await asyncio.gather(*tasks)) - started


# --- the scene ---------------------------------------------------------------------------------------------------


def _scene(ours: _Process) -> None:
    for name, count in (("small", 3), ("large", 1000)):
        for number in range(count):
            ours.call("PUT", "/v1/catalog/register", _registration(name, number, "ok"))
    ours.call("PUT", "/v1/kv/bench", b"0123456789abcdef")


def _registration(name: str, number: int, output: str) -> dict[str, Any]:
    node = f"{name}-{number}"
    return {
        "Node": node,
        "Address": f"10.0.{number // 250}.{number % 250}",
        "NodeMeta": {"rack": "r1", "os": "linux"},
        "Service": {
            "ID": f"{name}-{number}",
            "Service": name,
            "Port": 8080,
            "Tags": ["v1", "blue"],
            "Meta": {"version": "1.2.3"},
        },
        "Checks": [
            {"Name": "serfHealth", "CheckID": "serfHealth", "Status": "passing", "Output": "Agent alive and reachable"},
            {
                "Name": "web",
                "CheckID": f"c-{number}",
                "Status": "passing",
                "ServiceID": f"{name}-{number}",
                "Output": output,
            },
        ],
    }


def run() -> dict[str, Any]:
    """All figures; requests a second unless named otherwise."""
    if shutil.which("wrk") is None:
        return {"skipped": "wrk is not installed"}
    ours = _Process("ours")
    yardstick = None
    try:
        idle_mb = ours.rss_mb()
        _scene(ours)
        small, large, key = "/v1/health/service/small?passing", "/v1/health/service/large", "/v1/kv/bench"
        bodies = {
            "small": ours.call("GET", small),
            "large": ours.call("GET", large),
            "key": ours.call("GET", key),
            "true": b"true",
        }
        Path("/tmp/bench-http-bodies.json").write_text(json.dumps({k: v.decode() for k, v in bodies.items()}))
        yardstick = _Process("yardstick", "/tmp/bench-http-bodies.json")
        result: dict[str, Any] = {"rss_idle_mb": round(idle_mb, 1), "large_body_bytes": len(bodies["large"])}
        for name, path in (("small", small), ("large", large), ("key", key)):
            rate, ratio = _compare(ours.url + path, f"{yardstick.url}/{name}")
            result[f"{name}_per_s"], result[f"{name}_ratio"] = round(rate), round(ratio, 2)
        rate, ratio = _compare(ours.url + key, f"{yardstick.url}/true", 64, _SET)
        result["put_per_s"], result["put_ratio"] = round(rate), round(ratio, 2)
        result["register_per_s"] = round(median(_wrk(ours.url, 32, _REGISTER) for _ in range(ROUNDS)))
        result |= _fan_out(ours, yardstick, large)
        result["rss_end_mb"] = round(ours.rss_mb(), 1)
        return result
    finally:
        ours.stop()
        if yardstick is not None:
            yardstick.stop()


def _fan_out(ours: _Process, yardstick: _Process, large: str) -> dict[str, Any]:
    mine, theirs = [], []
    for number in range(ROUNDS):
        with urllib.request.urlopen(ours.url + large) as response:
            index = response.headers["X-Consul-Index"]

        def change(number: int = number) -> None:
            ours.call("PUT", "/v1/catalog/register", _registration("large", 500, f"changed {number}"))

        mine.append(asyncio.run(_watch(ours.port, f"{large}?index={index}&wait=60s", change)))
        bare = _Process("yardstick", "/tmp/bench-http-bodies.json")
        try:
            theirs.append(asyncio.run(_watch(bare.port, "/wait-large", lambda bare=bare: bare.call("GET", "/release"))))
        finally:
            bare.stop()
    return {
        "fanout_last_s": round(median(mine), 3),
        "fanout_yardstick_s": round(median(theirs), 3),
        "fanout_ratio": round(median(mine) / median(theirs), 2),
    }


if __name__ == "__main__":
    if len(sys.argv) > 1:
        import uvloop

        number = int(sys.argv[2])
        if sys.argv[1] == "ours":
            uvloop.run(_ours(number))
        else:
            held = json.loads(Path(sys.argv[3]).read_text())
            uvloop.run(_yardstick(number, {name: text.encode() for name, text in held.items()}))
    else:
        print(json.dumps(run(), indent=2))
