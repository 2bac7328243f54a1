"""I/O edge: a connection that came in, joined to the application behind the sidecar.

Source: surface rows M2, M70 (`LocalServiceSocketPath`, `local_connect_timeout_ms`). What may change here: what is said
to the application before the first byte.
"""

from __future__ import annotations

import asyncio

from meshagent.connect.proxy.pump import Side, join
from meshagent.connect.snapshot import Inbound

__all__ = ["join_application"]


async def join_application(side: Side, inbound: Inbound) -> str:
    """Dial the application and join it to `side`, which is ready and paused; why that failed, "" when it did not."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(inbound.connect_timeout_ms / 1000.0):
            if inbound.local_socket:
                _, local = await loop.create_unix_connection(Side, inbound.local_socket)
            else:
                _, local = await loop.create_connection(Side, inbound.local_address, inbound.local_port)
    except (OSError, TimeoutError) as error:
        return str(error) or "timed out"
    if side.closed:
        local.abort()
    else:
        join(side, local)
    return ""
