"""I/O edge: requests at an even rate over kept connections; prints latency percentiles as JSON.

Run as `python bench/paced.py PORT RATE CONNECTIONS SECONDS`; with 0 connections each request has one of its own. It
counts from when it was due, not from when a free connection was found, so that a stall is seen by all that it delayed.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

REQUEST = b"GET / HTTP/1.1\r\nHost: api\r\n\r\n"


class Client(asyncio.Protocol):
    def __init__(self, free: list[Client], taken: list[float], lost: list[str]) -> None:
        self.free, self.taken, self.lost = free, taken, lost
        self.due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.free.append(self)

    def ask(self, due: float) -> None:
        self.due = due
        self.transport.write(REQUEST)

    def data_received(self, data: bytes) -> None:
        self.taken.append(time.perf_counter() - self.due)
        if not data.startswith(b"HTTP/1.1 200"):
            self.lost.append("status")
        self.free.append(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.append("connection")


async def alone(port: int, due: float, taken: list[float], lost: list[str]) -> None:
    """A request on a connection of its own."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        taken.append(time.perf_counter() - due)
        writer.close()
        if not head.startswith(b"HTTP/1.1 200"):
            lost.append("status")
    except (OSError, EOFError, asyncio.LimitOverrunError) as error:
        taken.append(time.perf_counter() - due)
        lost.append(repr(error))


async def measure(port: int, rate: float, connections: int, seconds: float) -> dict[str, Any]:
    free: list[Client] = []
    taken: list[float] = []
    lost: list[str] = []
    loop = asyncio.get_running_loop()
    for _ in range(connections):
        await loop.create_connection(lambda: Client(free, taken, lost), "127.0.0.1", port)
    tasks: set[asyncio.Task[None]] = set()
    started = time.perf_counter()
    wanted = int(rate * seconds)
    for at in range(wanted):
        due = started + at / rate
        wait = due - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        if not connections:
            task = loop.create_task(alone(port, due, taken, lost))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            continue
        while not free:
            await asyncio.sleep(0.0005)
        free.pop(0).ask(due)
    for _ in range(2000):
        if len(taken) >= wanted or (lost and connections):  # the answers of a lost connection never come
            break
        await asyncio.sleep(0.01)
    answered = sorted(taken[int(rate * min(1.0, seconds / 4)) :])
    return {
        "p50_ms": answered[len(answered) // 2] * 1000,
        "p99_ms": answered[int(len(answered) * 0.99)] * 1000,
        "failed": wanted - len(taken) + len(lost),
        "why": sorted(set(lost)),
    }


def main() -> None:
    import uvloop

    port, rate, connections, seconds = sys.argv[1:5]
    print(json.dumps(uvloop.run(measure(int(port), float(rate), int(connections), float(seconds)))))


if __name__ == "__main__":
    main()
