"""I/O edge: many blocking queries in one process, and how long until the last one is answered after one change.

Run as `python bench/watchers.py PORT COUNT PATH METHOD CHANGE_PATH [BODY]`: prints JSON with the seconds from sending
the change to the last byte of the last answer, and the size of one answer.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import uvloop


class Watcher(asyncio.Protocol):
    """Sends one request, counts the bytes of its answer."""

    def __init__(self, request: bytes, done: asyncio.Future[int]) -> None:
        self._request = request
        self._done = done
        self._head = b""
        self._left: int | None = None
        self._size = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(self._request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        if self._left is None:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._head[:end].lower()
            if not head.startswith(b"http/1.1 200"):
                self._done.set_exception(RuntimeError(head.decode("latin-1")[:200]))
                return
            self._size = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
            self._left = self._size - (len(self._head) - end - 4)
        else:
            self._left -= len(data)
        if self._left <= 0 and not self._done.done():
            self._done.set_result(self._size)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(exc or ConnectionError("closed before the answer was whole"))


async def ask(port: int, method: str, path: str, body: bytes = b"") -> asyncio.Future[int]:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[int] = loop.create_future()
    head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(body)}\r\n\r\n"
    await loop.create_connection(lambda: Watcher(head.encode() + body, done), "127.0.0.1", port)
    return done


async def main() -> None:
    port, count, path, method, change, *body = sys.argv[1:]
    waiting = [await ask(int(port), "GET", path) for _ in range(int(count))]
    await asyncio.sleep(1.0)  # all are parked
    early = sum(one.done() for one in waiting)
    started = time.perf_counter()
    await ask(int(port), method, change, body[0].encode() if body else b"")
    sizes = await asyncio.wait_for(asyncio.gather(*waiting), 60)
    print(json.dumps({"seconds": time.perf_counter() - started, "bytes": sizes[0], "early": early}))


if __name__ == "__main__":
    uvloop.run(main())
