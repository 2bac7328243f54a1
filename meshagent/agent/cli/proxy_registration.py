"""I/O edge: `connect proxy -register`: the registration of a proxy that is configured by flags, kept while it runs.

Source: "`-register`" of builtin-proxy.md of the golden mesh data (names, check, times). What may change here: nothing
that a script could look for.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from meshagent.agent.cli.client import ApiError, Client
from meshagent.clock import SystemClock
from meshagent.errors import MeshError

__all__ = ["definition", "deregister_at_end", "keep_registered"]

log = logging.getLogger("proxy.register")

_TTL_S = 30.0
#: How often the check is told that all is well, and it is looked whether the registration is still there.
_BEAT_S = 10.0
_TRIES, _TRY_AGAIN_S = 4, 0.5


def definition(service: str, register_id: str, address: str, port: int) -> dict[str, Any]:
    """What is registered: `<service>-proxy`, with a TTL check."""
    proxy_id = f"{service}-proxy" + (f"-{register_id}" if register_id else "")
    return {
        "Kind": "connect-proxy",
        "ID": proxy_id,
        "Name": f"{service}-proxy",
        "Address": address,
        "Port": port,
        "Proxy": {"DestinationServiceName": service},
        "Check": {
            "CheckID": f"{proxy_id}-ttl",
            "Name": "proxy heartbeat",
            "TTL": f"{_TTL_S:.0f}s",
            "Status": "passing",
        },
    }


async def keep_registered(client: Client, wanted: dict[str, Any]) -> None:
    """Register, beat, register again when somebody has taken it away; deregister when cancelled."""
    clock, loop = SystemClock(), asyncio.get_running_loop()
    proxy_id = wanted["ID"]
    there = False

    def beat() -> None:
        nonlocal there
        if there:
            try:
                client.put(f"agent/check/pass/{proxy_id}-ttl")
                return
            except ApiError as error:
                if error.status != 404:
                    raise
        client.put("agent/service/register", value=wanted)
        there = True
        log.info("registered: proxy=%s", proxy_id)

    try:
        while True:
            try:
                await loop.run_in_executor(None, beat)
                await clock.sleep(_BEAT_S)
            except MeshError as error:
                log.warning("cannot register: proxy=%s error=%s", proxy_id, error)
                await clock.sleep(1.0)
    finally:
        await _deregister(client, proxy_id, clock)


async def deregister_at_end(client: Client, proxy_id: str) -> None:
    """Wait until cancelled, then deregister: a gateway that has ended is not to be found any more."""
    try:
        await asyncio.Event().wait()
    finally:
        await _deregister(client, proxy_id, SystemClock())


async def _deregister(client: Client, proxy_id: str, clock: SystemClock) -> None:
    log.info("stop request received, deregistering: proxy=%s", proxy_id)
    for _ in range(_TRIES):
        try:
            client.put(f"agent/service/deregister/{proxy_id}")
            return
        except MeshError as error:
            log.warning("cannot deregister: proxy=%s error=%s", proxy_id, error)
            await clock.sleep(_TRY_AGAIN_S)
