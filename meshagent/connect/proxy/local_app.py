"""I/O edge: a connection that came in, joined to the application behind the sidecar.

Source: surface rows M2, M70 (`LocalServiceSocketPath`, `local_connect_timeout_ms`); `local_proxy_protocol` is ours: the
application is told who dialled (the peer's sidecar). What may change here: what is said before the first byte.
"""

from __future__ import annotations

import asyncio

from meshagent.connect.proxy.layers.proxy_header import Address, encode
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
        return ""
    if inbound.proxy_protocol:
        local.send(encode(inbound.proxy_protocol, _address(side, "peername"), _address(side, "sockname")))
    join(side, local)
    return ""


def _address(side: Side, which: str) -> Address | None:
    """Of one end of the connection that came in; None when it has no IP."""
    found = side.transport.get_extra_info(which) if side.transport is not None else None
    return (str(found[0]), int(found[1])) if isinstance(found, tuple) else None
