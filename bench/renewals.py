"""A process that makes sessions at an agent and renews each twice in its TTL, until its input ends.

Prints their ids as one line of JSON, and "one round" when all have been renewed once.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading

SESSIONS, TTL_S = 10_000, 10


async def _renew(port: int) -> None:
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    threading.Thread(target=lambda: (sys.stdin.read(), loop.call_soon_threadsafe(over.set)), daemon=True).start()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def ask(paths: list[str], body: bytes = b"") -> list[bytes]:
        for path in paths:
            writer.write(f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        found = []
        for path in paths:
            head = await reader.readuntil(b"\r\n\r\n")
            size = int(next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))[15:])
            found.append(await reader.readexactly(size))
            if b" 200 " not in head.split(b"\r\n")[0]:
                raise RuntimeError(f"{path}: {head!r} {found[-1]!r}")
        return found

    wanted = json.dumps({"TTL": f"{TTL_S}s"}).encode()
    ids: list[str] = []
    step = 100
    while len(ids) < SESSIONS:
        ids += [json.loads(one)["ID"] for one in await ask(["/v1/session/create"] * step, wanted)]
        if len(ids) % 2000 == 0 and len(ids) < SESSIONS:  # the first ones wait already
            await ask([f"/v1/session/renew/{one}" for one in ids])
    print(json.dumps(ids), flush=True)
    steps = [ids[at : at + step] for at in range(0, SESSIONS, step)]
    told = False
    while not over.is_set():
        started = loop.time()
        for number, some in enumerate(steps, 1):
            await ask([f"/v1/session/renew/{one}" for one in some])
            await asyncio.sleep(max(0.0, started + TTL_S / 2 * number / len(steps) - loop.time()))
            if over.is_set():
                return
        if not told:
            print("one round", flush=True)
            told = True


if __name__ == "__main__":
    asyncio.run(_renew(int(sys.argv[1])))
