"""I/O edge: the bare servers that the agent is measured against. Run as `python bench/yardsticks.py KIND PORT FILE`.

dns: a recvfrom/sendto loop that answers constant bytes under the question's id. http: aiohttp's low-level server (no
routing, no middlewares) that sends a constant body. fanout: the same, holding every GET until one asks for /fire.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path


def dns(port: int, answer: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.bind(("127.0.0.1", port))
        rest, receive, send = answer[2:], sock.recvfrom, sock.sendto
        while True:
            packet, peer = receive(4096)
            send(packet[:2] + rest, peer)


async def http(port: int, body: bytes) -> None:
    from aiohttp import web

    headers = {"Content-Type": "application/json"}

    async def handler(_: web.BaseRequest) -> web.Response:
        return web.Response(body=body, headers=headers)

    await _serve(port, handler)


async def fanout(port: int, body: bytes) -> None:
    from aiohttp import web

    headers = {"Content-Type": "application/json"}
    fired = asyncio.Event()

    async def handler(request: web.BaseRequest) -> web.Response:
        nonlocal fired
        if request.path == "/fire":
            fired.set()
            fired = asyncio.Event()
            return web.Response(body=b"true")
        await fired.wait()
        return web.Response(body=body, headers=headers)

    await _serve(port, handler)


async def _serve(port: int, handler: object) -> None:
    from aiohttp import web

    runner = web.ServerRunner(web.Server(handler, access_log=None))  # type: ignore[arg-type]
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
    await asyncio.Event().wait()


def main() -> None:
    kind, port, content = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]).read_bytes()
    if kind == "dns":
        dns(port, content)
    else:
        import uvloop

        uvloop.run({"http": http, "fanout": fanout}[kind](port, content))


if __name__ == "__main__":
    main()
