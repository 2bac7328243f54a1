"""I/O edge: one question to a server that there is no standing connection to.

Source: design.md "RPC". Before a cluster has begun its servers know each other from gossip alone.

What may be changed: nothing here knows what is asked.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from meshagent.catalog.rpc.client import Dialler, epochs
from meshagent.catalog.rpc.hello import Identity
from meshagent.catalog.rpc.link import RpcMetrics
from meshagent.catalog.rpc.settings import RpcSettings
from meshagent.catalog.rpc.tls import Security
from meshagent.clock import Clock
from meshagent.errors import Unavailable

__all__ = ["ask_once"]


async def ask_once(
    address: str,
    method: str,
    payload: bytes,
    timeout_s: float,
    *,
    expected_node_id: str,
    identity: Callable[[], Identity],
    security: Callable[[], Security],
    clock: Clock,
    rng: random.Random,
    metrics: RpcMetrics,
    settings: RpcSettings,
    bootstrap: bool = False,
) -> bytes:
    """Dial `address`, ask, and hang up. `expected_node_id` "" takes whoever answers; `bootstrap`: a first contact.

    Raises:
        Unavailable: it could not be reached, or did not answer within `timeout_s`. Else what the server answers.
    """
    ready = asyncio.Event()
    dialler = Dialler(
        address,
        identity=identity,
        security=security,
        clock=clock,
        rng=rng,
        metrics=metrics,
        epochs=epochs(),
        expected_node_id=expected_node_id,
        settings=settings,
        on_change=lambda _: ready.set(),
        bootstrap=bootstrap,
    )
    dialler.start()
    try:
        async with asyncio.timeout(timeout_s):
            while (link := dialler.link) is None:
                ready.clear()
                await ready.wait()
            return await link.call(method, payload, timeout_s)
    except TimeoutError:
        reason = "" if dialler.last_failure is None else f": {dialler.last_failure[1]}"
        raise Unavailable(f"{address} did not answer within {timeout_s:g} s{reason}") from None
    finally:
        await dialler.stop()
