"""I/O edge: clients that put, read, compare, delete and lock against all servers, and write down what they were told.

A request whose connection could not be made was not asked. One that was sent and got anything but a clear answer has an
unknown outcome; for a read that is nothing at all.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import random
import time
from collections import Counter
from dataclasses import dataclass, field

from meshtest.chaos.cluster import Cluster, Server
from meshtest.linearizability import Operation, Seen

PATIENCE_S = (0.4, 1.0, 3.0, 8.0)
"""How long clients wait for an answer; the last is longer than rpc_hold_timeout."""
MODES = ("default", "default", "consistent", "stale")


class NotAsked(Exception):
    """The request did not leave."""


@dataclass(slots=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """One keep-alive connection; made anew after anything odd."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, body: bytes = b"", *, timeout_s: float) -> Reply:
        """Raises: NotAsked; OSError, EOFError or TimeoutError when the outcome is unknown."""
        if self._streams is None:
            try:
                self._streams = await asyncio.wait_for(asyncio.open_connection(*self._address), 1.0)
            except (OSError, TimeoutError) as error:
                raise NotAsked(repr(error)) from error
        try:
            return await asyncio.wait_for(self._exchange(method, path, body), timeout_s)
        except BaseException:
            self.close()
            raise

    async def _exchange(self, method: str, path: str, body: bytes) -> Reply:
        assert self._streams is not None
        reader, writer = self._streams
        writer.write(f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])}
        content = await reader.readexactly(int(headers.get("content-length", "0")))
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Reply(int(head[0].split()[1]), headers, content)

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None


@dataclass(slots=True)
class Workload:
    """What all clients share: the keys, what was last seen of them, the rows, and what was odd."""

    cluster: Cluster
    seed: int
    clients: int = 16
    keys: int = 36
    locks: int = 12
    pause_s: float = 0.008
    rows: list[Operation] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    last_write: float = 0.0
    longest_gap: float = 0.0
    stopped: bool = False
    _last_seen: dict[str, Seen] = field(default_factory=dict)
    _count: int = 0

    async def run(self) -> None:
        """Until `stopped`; then one `consistent` and one `default` read of every key."""
        self.last_write = time.monotonic()
        clients = [Client(self, number, random.Random(self.seed * 1000 + number)) for number in range(self.clients)]
        await asyncio.gather(*(client.run() for client in clients))

    async def last_reads(self) -> None:
        reader = Client(self, self.clients, random.Random(self.seed))
        names = [f"chaos/kv/{number}" for number in range(self.keys)]
        names += [f"chaos/lock/{number}" for number in range(self.locks)]
        for mode in ("consistent", "default"):
            for name in names:
                for server in self.cluster.servers.values():
                    await reader.get(server, name, mode)
        reader.close()

    def value(self) -> str:
        self._count += 1
        return f"v{self._count}"

    def wrote(self) -> None:
        now = time.monotonic()
        self.longest_gap = max(self.longest_gap, now - self.last_write)
        self.last_write = now


class Client:
    """Odd numbers keep to one server, so that each side of a partition has its clients; the others ask any. Every
    fourth only reads: who waits for a write sees nothing meanwhile."""

    def __init__(self, workload: Workload, number: int, rng: random.Random) -> None:
        self.workload = workload
        self.number = number
        self.rng = rng
        self.session = ""
        servers = list(workload.cluster.servers.values())
        self.servers = [servers[number // 2 % len(servers)]] if number % 2 else servers
        self.only_reads = number % 4 == 3
        self._connections: dict[str, Connection] = {}

    async def run(self) -> None:
        while not self.workload.stopped:
            server = self.rng.choice(self.servers)
            if self.rng.random() < 0.3 and not self.only_reads:
                await self._lock(server)
            else:
                await self._key(server)
            await asyncio.sleep(self.rng.expovariate(1 / self.workload.pause_s))
        self.close()

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()

    async def _key(self, server: Server) -> None:
        key = f"chaos/kv/{self.rng.randrange(self.workload.keys)}"
        kind = self.rng.choices(("get", "put", "cas", "create", "delete", "delete-cas"), (50, 25, 12, 4, 4, 5))[0]
        kind = "get" if self.only_reads else kind
        seen = self.workload._last_seen.get(key)
        if kind == "get":
            await self.get(server, key, self.rng.choice(MODES))
        elif kind == "put":
            await self._write(server, Operation("put", key, 0, None, value=self.workload.value()), "PUT", "")
        elif kind in ("cas", "create"):
            index = 0 if kind == "create" or seen is None else seen.modify_index
            row = Operation("cas", key, 0, None, value=self.workload.value(), index=index)
            await self._write(server, row, "PUT", f"?cas={index}")
        elif kind == "delete":
            await self._write(server, Operation("delete", key, 0, None), "DELETE", "")
        elif seen is not None:
            row = Operation("delete-cas", key, 0, None, index=seen.modify_index)
            await self._write(server, row, "DELETE", f"?cas={seen.modify_index}")

    async def _lock(self, server: Server) -> None:
        if not self.session and not await self._new_session(server):
            return
        key = f"chaos/lock/{self.rng.randrange(self.workload.locks)}"
        kind = self.rng.choices(("get", "acquire", "release", "put"), (30, 35, 32, 3))[0]
        if kind == "get":
            await self.get(server, key, self.rng.choice(MODES))
            return
        row = Operation(kind, key, 0, None, value=self.workload.value())
        if kind != "put":
            row.session = self.session
        await self._write(server, row, "PUT", f"?{kind}={self.session}" if row.session else "")

    async def _new_session(self, server: Server) -> bool:
        body = json.dumps({"Name": f"client-{self.number}", "NodeChecks": [], "LockDelay": "0s"}).encode()
        with contextlib.suppress(NotAsked, OSError, EOFError, TimeoutError):
            reply = await self._to(server).ask("PUT", "/v1/session/create", body, timeout_s=PATIENCE_S[-1])
            if reply.status == 200:
                self.session = json.loads(reply.body)["ID"]
        return bool(self.session)

    async def get(self, server: Server, key: str, mode: str) -> None:
        row = Operation("get", key, 0, None, client=self.number, mode=mode, server=server.name, life=server.life)
        query = "" if mode == "default" else f"?{mode}"
        try:
            reply = await self._asked(server, row, "GET", f"/v1/kv/{key}{query}")
        except NotAsked:
            return
        if reply is None or reply.status not in (200, 404) or (mode == "stale" and row.life != server.life):
            return
        if reply.status == 404 and not reply.headers.get("x-consul-index"):
            self._note(f"a 404 without an index: {reply.body[:100]!r}")
            return
        row.store_index = int(reply.headers["x-consul-index"])
        if reply.status == 200:
            (entry,) = json.loads(reply.body)
            value = base64.b64decode(entry["Value"] or "").decode()
            row.seen = Seen(value, entry["ModifyIndex"], entry.get("Session", ""))
            self.workload._last_seen[key] = row.seen
        row.returned = time.monotonic()
        self.workload.rows.append(row)

    async def _write(self, server: Server, row: Operation, method: str, query: str) -> None:
        row.client, row.server, row.life = self.number, server.name, server.life
        try:
            reply = await self._asked(server, row, method, f"/v1/kv/{row.key}{query}", row.value.encode())
        except NotAsked:
            return
        self.workload.rows.append(row)
        now = time.monotonic()
        if reply is not None and reply.status == 200 and reply.body.strip() in (b"true", b"false"):
            row.ok, row.returned = reply.body.strip() == b"true", now
            self.workload.wrote()
        elif reply is not None and b"invalid session" in reply.body:
            self._note(f"session {self.session}, created and never ended, is unknown: {reply.body[:100]!r}")

    async def _asked(self, server: Server, row: Operation, method: str, path: str, body: bytes = b"") -> Reply | None:
        row.invoked = time.monotonic()
        answers = self.workload.answers
        try:
            patience_s = self.rng.choice(PATIENCE_S[:2] if self.only_reads else PATIENCE_S)
            reply = await self._to(server).ask(method, path, body, timeout_s=patience_s)
        except NotAsked:
            answers["not asked"] += 1
            await asyncio.sleep(0.02)
            raise
        except (OSError, EOFError, TimeoutError, ValueError, asyncio.LimitOverrunError) as error:
            answers[type(error).__name__] += 1
            return None
        answers[f"{reply.status}"] += 1
        if reply.status not in (200, 404):
            answers[f"{reply.status} {reply.body[:60].decode(errors='replace')}"] += 1
        return reply

    def _to(self, server: Server) -> Connection:
        if server.name not in self._connections:
            self._connections[server.name] = Connection(server.address)
        return self._connections[server.name]

    def _note(self, what: str) -> None:
        if len(self.workload.odd) < 50:
            self.workload.odd.append(what)
