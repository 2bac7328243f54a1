"""I/O edge: `meshagent connect proxy`: the built-in sidecar as a process of its own.

It follows the snapshot of its registration at the local agent (a blocking read in a thread) and goes on with the last
one while the agent is away. SIGTERM and SIGINT end it: open connections have `-drain-time` to finish.

Source: surface row CL20; builtin-proxy.md of the golden mesh data (messages, statuses). What may change here: the flags
of Consul's proxy that configure it without a registration are not built yet.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import signal
import sys
from typing import Any

import msgspec

from meshagent.agent.cli.client import Answer, ApiError, Client
from meshagent.agent.cli.flags import api_command, expect, switch, text
from meshagent.agent.cli.output import fail, say
from meshagent.clock import SystemClock
from meshagent.connect.proxy.server import Sidecar
from meshagent.connect.snapshot import ProxySnapshot
from meshagent.durations import parse_seconds
from meshagent.errors import MeshError

__all__ = ["proxy"]

log = logging.getLogger("proxy")

#: How long one read waits for a change; after a failure the pauses grow to the longest.
_WAIT = "60s"
_RETRY_S, _LONGEST_RETRY_S = 0.25, 5.0
_LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERR", "ERROR")


@api_command("proxy", short_help="Run the built-in sidecar of a service")
@text("sidecar-for", "Id of the service at this agent whose sidecar it is [CONNECT_SIDECAR_FOR]")
@text("proxy-id", "Id of the registration of the proxy itself [CONNECT_PROXY_ID]")
@text("log-level", "Least severe message shown", default="INFO")
@switch("log-json", "One JSON object a line")
@text("metrics-bind", "host:port at which Prometheus reads metrics, before what the configuration says")
@text("drain-time", "How long open connections may go on after a signal", default="5s")
def proxy(
    client: Client,
    args: tuple[str, ...],
    sidecar_for: str,
    proxy_id: str,
    log_level: str,
    log_json: bool,
    metrics_bind: str,
    drain_time: str,
) -> int:
    """Run the sidecar of a service that is registered at the local agent: mutual TLS with intentions."""
    expect(args, 0, 0)
    if log_level.upper() not in _LEVELS:
        raise fail(f"Invalid log level: {log_level}. Valid log levels are: [{' '.join(_LEVELS)}]")
    try:
        drain_s = parse_seconds(drain_time)
    except ValueError as error:
        raise fail(f"-drain-time: {error}") from None
    sidecar_for = sidecar_for or os.environ.get("CONNECT_SIDECAR_FOR", "")
    proxy_id = proxy_id or os.environ.get("CONNECT_PROXY_ID", "")
    if not proxy_id:
        if not sidecar_for:
            raise fail("-sidecar-for or -proxy-id must be specified so that proxy can configure itself.")
        proxy_id = _sidecar_of(client, sidecar_for)
    say("==> Consul Connect proxy starting...")
    say("    Configuration mode: Agent API")
    if sidecar_for:
        say(f"        Sidecar for ID: {sidecar_for}")
    say(f"              Proxy ID: {proxy_id}")
    say()
    say("==> Log data will now stream in as it occurs:")
    sys.stdout.flush()
    from meshagent.agent.logs import LogHub, LogSettings

    hub = LogHub(
        LogSettings(level="ERROR" if log_level.upper() == "ERR" else log_level.upper(), json=log_json), sys.stdout
    )
    hub.attach()
    import uvloop

    # What has been loaded stays; connections leave no cycles, so the collector need not look after every few hundred.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(client, proxy_id, drain_s, metrics_bind))
    return 0


def _sidecar_of(client: Client, service_id: str) -> str:
    try:
        services = client.get("agent/services")
    except MeshError as error:
        raise fail(f"Failed looking up sidecar proxy info for {service_id}: {error}") from None
    found = sorted(
        one["ID"]
        for one in services.values()
        if one.get("Kind") == "connect-proxy" and one.get("Proxy", {}).get("DestinationServiceID") == service_id
    )
    if not found:
        raise fail(f"No sidecar proxy registered for {service_id}")
    if len(found) > 1:
        raise fail(
            f"More than one sidecar proxy registered for {service_id}.\n"
            f"    Start proxy with -proxy-id and one of the following IDs: {', '.join(found)}"
        )
    return str(found[0])


async def _run(client: Client, proxy_id: str, drain_s: float, metrics_bind: str) -> None:
    clock = SystemClock()
    sidecar = Sidecar(clock, random.Random())  # noqa: S311  spreads load
    sidecar.telemetry.metrics_bind = metrics_bind
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    follower = loop.create_task(_follow(client, proxy_id, sidecar, clock))
    await ended.wait()
    log.info("stopping: connections=%d", sidecar.connections)
    follower.cancel()
    await sidecar.stop(drain_s)
    # A read may still wait in its thread: the process does not wait for it.
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)


async def _follow(client: Client, proxy_id: str, sidecar: Sidecar, clock: SystemClock) -> None:
    """Apply each new snapshot, for ever."""
    loop = asyncio.get_running_loop()
    digest, retry_s, announced = "", _RETRY_S, False
    while True:
        try:
            answer = await loop.run_in_executor(None, _ask, client, proxy_id, digest)
            digest = _header(answer, "X-Consul-Contenthash")
            await sidecar.apply(msgspec.json.decode(answer.body, type=ProxySnapshot))
            retry_s = _RETRY_S
            if sidecar.ready and not announced:
                announced = True
                log.info("proxy loaded config and is ready to serve: proxy=%s", proxy_id)
            if not sidecar.ready:
                digest = ""  # there is no leaf yet, or a port is taken: look again soon
                await clock.sleep(1.0)
        except ApiError as error:
            if error.status == 404:
                await sidecar.withdraw()
                digest = ""
            log.warning("watch errored: proxy=%s error=%s retry=%.2fs", proxy_id, error, retry_s)
            await clock.sleep(retry_s)
            retry_s = min(_LONGEST_RETRY_S, retry_s * 2)
        except (MeshError, msgspec.DecodeError) as error:
            log.warning("watch errored: proxy=%s error=%s retry=%.2fs", proxy_id, error, retry_s)
            await clock.sleep(retry_s)
            retry_s = min(_LONGEST_RETRY_S, retry_s * 2)


def _ask(client: Client, proxy_id: str, digest: str) -> Answer:
    query: dict[str, Any] = {"secrets": ""}
    if digest:
        query |= {"hash": digest, "wait": _WAIT}
    return client.request("GET", f"agent/connect/proxy/{proxy_id}", query)


def _header(answer: Answer, wanted: str) -> str:
    return next((value for name, value in answer.headers.items() if name.lower() == wanted.lower()), "")
