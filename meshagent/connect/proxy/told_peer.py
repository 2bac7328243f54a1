"""I/O edge: a listener whose clients say, in a PROXY header, whom they speak for.

Without a header that can be read the connection is ended: who may speak for others must do so each time, or anybody
could leave it out.

Source: haproxy.org/download/2.9/doc/proxy-protocol.txt, section 2; Envoy's PROXY protocol listener filter. What may
change here: how long the header may take.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from meshagent.connect.proxy.layers.proxy_header import MAX_BYTES, decode
from meshagent.connect.proxy.peek import Peek, Refuse, Taker
from meshagent.errors import RemoteProtocolError

__all__ = ["HEADER_TIMEOUT_S", "with_header"]

log = logging.getLogger("proxy.outbound")

#: A load balancer sends it with the first packet (section 3 asks for 3 s and more).
HEADER_TIMEOUT_S = 5.0


def with_header(make: Callable[[str], Taker], on_refused: Callable[[], None], peeking: set[Peek]) -> Peek:
    """For a new connection. `make` is given "ip:port" of whom it is for, "" when the header does not say; `peeking`
    holds those that have not said it yet."""

    def choose(data: bytes, last: bool) -> tuple[Taker, int] | None:
        try:
            header = decode(data)
            if header is None and (last or len(data) > MAX_BYTES):
                raise RemoteProtocolError("no whole PROXY header in time")
        except RemoteProtocolError as error:
            log.warning("connection refused: %s", error)
            on_refused()
            return Refuse(), 0
        if header is None:
            return None
        source = header.source
        host = f"[{source[0]}]" if source is not None and ":" in source[0] else source[0] if source is not None else ""
        return make(f"{host}:{source[1]}" if source is not None else ""), header.size

    peek = Peek(choose, HEADER_TIMEOUT_S, peeking.discard)
    peeking.add(peek)
    return peek
