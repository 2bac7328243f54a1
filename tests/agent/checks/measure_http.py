"""What one HTTP probe costs: our client beside aiohttp's, same server, same loop.

Run by hand: `.venv/bin/python tests/agent/checks/measure_http.py`. Prints microseconds of this process's CPU a probe.
The server is a second process, so that only the client counts.
"""

import asyncio
import multiprocessing
import resource
import socket
import time

import aiohttp
import uvloop

from meshagent.agent.checks.dial import Dialer
from meshagent.agent.checks.http import prepare
from meshagent.agent.checks.probe import Tools
from meshagent.agent.checks.tls import TlsContexts
from meshagent.agent.definitions import CheckDefinition
from meshagent.clock import SystemClock, Tasks

PROBES = 5000
AT_ONCE = 16


class Answer(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nok")
        self.transport.close()


def serve(listener: socket.socket) -> None:
    async def main():
        server = await asyncio.get_running_loop().create_server(Answer, sock=listener)
        await server.serve_forever()

    uvloop.run(main())


async def repeat(name, probe):
    async def worker():
        for _ in range(PROBES // AT_ONCE):
            assert await probe() == "passing"

    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
    after, ended = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{name}: {cpu / PROBES * 1e6:.0f} us CPU a probe, {PROBES / (ended - started):.0f} probes/s")


async def main(port: int) -> None:
    url = f"http://127.0.0.1:{port}/health"
    clock, tasks = SystemClock(), Tasks()
    definition = CheckDefinition(http=url, interval=10.0)
    ours = prepare(definition, Tools(Dialer(clock=clock, tasks=tasks, tls=TlsContexts()), unit_states=None))

    async def with_ours():
        return (await ours()).status

    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True, limit=0), timeout=aiohttp.ClientTimeout(total=10)
    )

    async def with_aiohttp():
        async with session.get(url) as response:
            await response.content.read(4096)
            return "passing" if response.status == 200 else "critical"

    for _ in range(2):
        await repeat("ours   ", with_ours)
        await repeat("aiohttp", with_aiohttp)
    await session.close()


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    server = multiprocessing.get_context("fork").Process(target=serve, args=(listener,), daemon=True)
    server.start()
    for runner in (uvloop.run, asyncio.run):
        print(runner.__module__)
        runner(main(listener.getsockname()[1]))
    server.terminate()
