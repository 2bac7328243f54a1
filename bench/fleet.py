"""I/O edge: many client agents in one process, each with its own connection to a server: registrations, checks that
flap, followers. No HTTP, no DNS, no gossip: what servers have to bear of clients.

Run as `python bench/fleet.py COUNT ADDRESS...`: prints JSON.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import statistics
import sys
import time

import uvloop

from meshagent.agent.rpc.messages import Question
from meshagent.agent.rpc.remote_log import RemoteLog
from meshagent.agent.rpc.upstream import Upstream
from meshagent.agent.servers import Server, Servers
from meshagent.catalog import commands
from meshagent.catalog.model import Check, Node, Service
from meshagent.catalog.rpc.hello import CLIENT, Identity
from meshagent.catalog.rpc.settings import RpcSettings
from meshagent.catalog.rpc.tls import Security
from meshagent.clock import SystemClock
from meshagent.metrics import Metrics

GROUPS = 20
FLAPS_S = 20.0
CHANGES = 20


class Simulated:
    """One client: a node with one instance and one check; it follows one service of its group."""

    def __init__(self, number: int, addresses: list[str], metrics: Metrics) -> None:
        clock, rng = SystemClock(), random.Random(number)
        self.name = f"sim{number:05}"
        self.node = Node(name=self.name, address=f"10.{number // 62500}.{number // 250 % 250}.{number % 250 + 1}")
        self.service = f"group{number % GROUPS}"
        identity = Identity(f"00000000-0000-4000-8000-{number:012}", self.name, "dc1", role=CLIENT)
        self.upstream = Upstream(
            Servers(rng),
            identity=lambda: identity,
            security=Security,
            clock=clock,
            rng=rng,
            metrics=metrics,
            settings=RpcSettings(),
            members=lambda: 2000,
        )
        self.log = RemoteLog(self.upstream, origin=rng.randbytes(8), clock=clock)
        self.addresses = addresses
        self.seen = 0.0
        self.updates = 0

    def start(self) -> None:
        self.upstream.start()
        self.upstream.set_servers([Server(address) for address in self.addresses])
        held = self.upstream.holdings.follow(Question("service", "watched"))
        held.listeners[self._changed] = None
        self.upstream.holdings.follow(Question("service", self.service))

    def _changed(self) -> None:
        self.seen = time.perf_counter()
        self.updates += 1

    async def register(self, status: str = "passing", output: str = "") -> None:
        service = Service(id=f"{self.service}-{self.name}", name=self.service, port=80)
        check = Check(node=self.name, check_id="c", name="c", status=status, service_id=service.id, output=output)
        await self.log.propose(commands.encode(commands.Register(self.node, service, (check,))))


async def main() -> None:
    count, addresses = int(sys.argv[1]), sys.argv[2:]
    metrics = Metrics()
    clients = [Simulated(number, addresses, metrics) for number in range(count)]
    started = time.perf_counter()
    for number, client in enumerate(clients):
        client.start()
        if number % 50 == 49:
            await asyncio.sleep(0.05)
    while not all(client.upstream.connected for client in clients):
        await asyncio.sleep(0.05)
    connected = time.perf_counter() - started
    started = time.perf_counter()
    await asyncio.gather(*(client.register() for client in clients))
    registered = time.perf_counter() - started

    # The load generator is not what is measured: its collector would hold all clients at once.
    gc.collect()
    gc.freeze()
    gc.disable()
    watched = clients[0]
    took: list[float] = []
    for number in range(CHANGES):
        await asyncio.sleep(0.2)
        service = Service(id="watched", name="watched", port=number + 1)
        before = time.perf_counter()
        await watched.log.propose(commands.encode(commands.Register(watched.node, service, ())))
        while not all(client.seen > before for client in clients):
            await asyncio.sleep(0.002)
            if time.perf_counter() - before > 30:
                raise SystemExit("a change did not reach everybody")
        took += [(client.seen - before) * 1000 for client in clients]

    flaps = 0
    latencies: list[float] = []
    rng = random.Random(1)
    ends = time.perf_counter() + FLAPS_S

    async def flap() -> None:
        nonlocal flaps
        while time.perf_counter() < ends:
            before = time.perf_counter()
            await rng.choice(clients).register(rng.choice(("passing", "critical")), str(flaps))
            latencies.append((time.perf_counter() - before) * 1000)
            flaps += 1

    await asyncio.gather(*(flap() for _ in range(64)))
    latencies.sort()
    took.sort()
    print(
        json.dumps(
            {
                "clients": count,
                "connected_s": round(connected, 2),
                "registered_s": round(registered, 2),
                "change_p50_ms": round(statistics.median(took), 1),
                "change_p99_ms": round(took[int(len(took) * 0.99)], 1),
                "change_max_ms": round(took[-1], 1),
                "flaps_per_s": round(flaps / FLAPS_S),
                "flap_p99_ms": round(latencies[int(len(latencies) * 0.99)], 1),
            }
        )
    )
    sys.stdout.flush()
    import os

    os._exit(0)  # nothing here needs an orderly end


if __name__ == "__main__":
    uvloop.run(main())
