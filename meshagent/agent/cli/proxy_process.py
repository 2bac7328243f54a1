"""I/O edge: the process around built-in sidecars: it follows snapshots at the local agent, and ends well.

One sidecar follows its own snapshot, a fleet those of every proxy that is registered at the agent. Both go on with what
they have while the agent is away. SIGTERM and SIGINT end it: open connections have time to finish.

Source: builtin-proxy.md of the golden mesh data (messages, `-register`). What may change here: how the agent is asked.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import msgspec

from meshagent.agent.cli.client import Answer, ApiError, Client
from meshagent.clock import SystemClock
from meshagent.connect.proxy.fleet import Fleet
from meshagent.connect.proxy.server import Sidecar
from meshagent.connect.snapshot import ProxySnapshot
from meshagent.errors import MeshError

__all__ = ["run_all", "run_one"]

log = logging.getLogger("proxy")

#: How long one read waits for a change; after a failure the pauses grow to the longest.
_WAIT = "60s"
_RETRY_S, _LONGEST_RETRY_S = 0.25, 5.0
#: How soon a sidecar without a leaf, or whose port is taken, is looked at again.
_UNREADY_S = 1.0

#: Asks the agent for a snapshot that has another digest: (path, query, body) in a thread.
Ask = Callable[[str], Answer]


class _Changed(msgspec.Struct):
    Digests: dict[str, str]
    Snapshots: dict[str, ProxySnapshot]


def run_one(
    ask: Ask,
    name: str,
    drain_s: float,
    beside: Callable[[], Awaitable[None]] | None = None,
    metrics_bind: str = "",
) -> None:
    """One sidecar until a signal ends it. `ask(digest)` reads its snapshot; `beside` runs along and is cancelled
    before the connections are drained; `metrics_bind` (host:port) goes before what the configuration says."""
    clock = SystemClock()
    sidecar = Sidecar(clock, random.Random())  # noqa: S311  spreads load
    sidecar.telemetry.metrics_bind = metrics_bind
    _run(
        lambda: _follow(ask, name, sidecar, clock),
        lambda: sidecar.connections,
        lambda: sidecar.stop(drain_s),
        beside,
    )


def run_all(client: Client, drain_s: float, metrics_bind: str = "") -> None:
    """The sidecars of all proxies registered at the agent, until a signal ends them; they share one `metrics_bind`."""
    clock = SystemClock()
    fleet = Fleet(clock, random.Random(), drain_s, metrics_bind)  # noqa: S311  spreads load
    _run(
        lambda: _follow_all(client, fleet, clock),
        lambda: sum(one.connections for one in fleet.sidecars.values()),
        lambda: fleet.stop(drain_s),
        None,
    )


def _run(
    follow: Callable[[], Coroutine[Any, Any, None]],
    connections: Callable[[], int],
    stop: Callable[[], Awaitable[None]],
    beside: Callable[[], Awaitable[None]] | None,
) -> None:
    import uvloop

    # What has been loaded stays. A look at a few thousand new objects is short; one at 50,000 held the loop for 30 ms.
    gc.collect()
    gc.freeze()
    gc.set_threshold(3_000, 20, 50)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, ended.set)
        follower = loop.create_task(follow())
        other = asyncio.ensure_future(beside()) if beside is not None else None
        await ended.wait()
        follower.cancel()  # before the registration goes: its end is no news
        if other is not None:
            other.cancel()
            await asyncio.gather(other, return_exceptions=True)
        log.info("stopping: connections=%d", connections())
        await stop()
        # A read may still wait in its thread: the process does not wait for it.
        logging.shutdown()
        sys.stdout.flush()
        os._exit(0)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


async def _follow(ask: Ask, name: str, sidecar: Sidecar, clock: SystemClock) -> None:
    """Apply each new snapshot, for ever."""
    loop = asyncio.get_running_loop()
    digest, announced = "", False

    async def once() -> None:
        nonlocal digest, announced
        try:
            answer = await loop.run_in_executor(None, ask, digest)
        except ApiError as error:
            if error.status == 404:
                await sidecar.withdraw()
                digest = ""
            raise
        digest = _header(answer, "X-Consul-Contenthash")
        await sidecar.apply(msgspec.json.decode(answer.body, type=ProxySnapshot))
        if sidecar.ready and not announced:
            announced = True
            log.info("proxy loaded config and is ready to serve: proxy=%s", name)
        if not sidecar.ready:
            digest = ""
            await clock.sleep(_UNREADY_S)

    await _again_and_again(once, name, clock)


async def _follow_all(client: Client, fleet: Fleet, clock: SystemClock) -> None:
    loop = asyncio.get_running_loop()

    def ask() -> Answer:
        body = msgspec.json.encode({"Known": fleet.known})
        return client.request("PUT", "agent/connect/proxies", {"wait": _WAIT}, body)

    async def once() -> None:
        answer = await loop.run_in_executor(None, ask)
        changed = msgspec.json.decode(answer.body, type=_Changed)
        if not await fleet.apply(changed.Digests, changed.Snapshots):
            await clock.sleep(_UNREADY_S)

    await _again_and_again(once, "(all)", clock)


async def _again_and_again(once: Callable[[], Awaitable[None]], name: str, clock: SystemClock) -> None:
    retry_s = _RETRY_S
    while True:
        try:
            await once()
            retry_s = _RETRY_S
        except (MeshError, msgspec.DecodeError) as error:
            log.warning("watch errored: proxy=%s error=%s retry=%.2fs", name, error, retry_s)
            await clock.sleep(retry_s)
            retry_s = min(_LONGEST_RETRY_S, retry_s * 2)


def snapshot_query(digest: str) -> dict[str, Any]:
    """What asks for a snapshot that has another digest."""
    query: dict[str, Any] = {"secrets": ""}
    return query | {"hash": digest, "wait": _WAIT} if digest else query


def _header(answer: Answer, wanted: str) -> str:
    return next((value for name, value in answer.headers.items() if name.lower() == wanted.lower()), "")
