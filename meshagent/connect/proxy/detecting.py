"""I/O edge: an upstream whose protocol nobody declared (`protocol = "auto"`): the first bytes of each connection tell.

HTTP/1 is routed by request, with all of layer 7; TLS, HTTP/2 and whatever else passes as a connection, as bytes. So
does a client that says nothing for `detect_timeout_ms`: there the server speaks first.

Source: issue "protocol detection"; linkerd.io/2/features/protocol-detection; RFC 9112 section 3 (request line), RFC
9113 section 3.4 (preface), RFC 8446 section 5.1. What may change here: nothing that reads more than the first bytes.
"""

from __future__ import annotations

import asyncio
import logging

from meshagent.connect.proxy.door import Door
from meshagent.connect.proxy.http.outbound import HttpOutboundListener
from meshagent.connect.proxy.outbound import OutboundListener
from meshagent.connect.proxy.peek import Peek, Taker, begins_tls
from meshagent.connect.proxy.told_peer import with_header
from meshagent.connect.snapshot import Outbound

__all__ = ["DetectingListener", "spoken"]

log = logging.getLogger("proxy.outbound")

#: Those of RFC 9110, and PATCH; what other text protocols begin with is none of them followed by a target.
_METHODS = (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"TRACE", b"CONNECT")
#: A target is a path, `*`, or an absolute URL of http or https.
_BEGINNINGS = tuple(method + b" " + target for method in _METHODS for target in (b"/", b"*", b"http://", b"https://"))
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def spoken(data: bytes) -> str | None:
    """`http/1.1`, `h2`, `tls` or `other`: what a client that begins so speaks; None while that is not known."""
    if not data:
        return None
    tls = begins_tls(data)
    if tls is not False:
        return "tls" if tls else None
    if data.startswith(_PREFACE):
        return "h2"
    if data.startswith(_BEGINNINGS):
        return "http/1.1"
    possible = any(beginning.startswith(data) for beginning in (*_BEGINNINGS, _PREFACE))
    return None if possible else "other"


class DetectingListener:
    """Accepts the application's connections to one upstream, for `http` or `tcp`, which listen nowhere themselves."""

    kind = "detected"

    def __init__(self, http: HttpOutboundListener, tcp: OutboundListener) -> None:
        self.http = http
        self.tcp = tcp
        self._door = Door()
        self._peeking: set[Peek] = set()

    @property
    def outbound(self) -> Outbound:
        """What it works from."""
        return self.tcp.outbound

    @outbound.setter
    def outbound(self, outbound: Outbound) -> None:
        self.http.outbound = self.tcp.outbound = outbound

    @property
    def open_connections(self) -> int:
        """How many there are."""
        return len(self._peeking) + self.http.open_connections + self.tcp.open_connections

    async def start(self) -> None:
        """Listen, unless others hand connections over. Raises OSError."""
        one = self.outbound
        if not await self._door.open_for(one, self._accept):
            return
        log.info("listening: address=%s upstream=%s protocol=detected", one.key, one.name)

    def stop_accepting(self) -> None:
        """Take no new connections; those of HTTP end with their requests, the others go on."""
        self._door.close()
        for peek in list(self._peeking):
            peek.abort()
        self.tcp.stop_accepting()
        self.http.drain()

    def abort_all(self) -> None:
        """Cut what is open."""
        self.http.abort_all()
        self.tcp.abort_all()

    def end_idle(self, now: float) -> None:
        """End the connections over which nothing has passed for too long."""
        self.tcp.end_idle(now)

    def accept(self) -> Peek:
        """What takes over a connection that the application itself made."""
        return self._peek("")

    # --- one connection ----------------------------------------------------------------------------------------

    def _accept(self) -> asyncio.Protocol:
        if self.outbound.accept_proxy_protocol:
            return with_header(self._peek, self.tcp.refused, self._peeking)
        return self._peek("")

    def _peek(self, address: str) -> Peek:
        def choose(data: bytes, last: bool) -> tuple[Taker, int] | None:
            found = spoken(data)
            if found is None and not last:
                return None
            return (self.http.told(address) if found == "http/1.1" else self.tcp.told(address)), 0

        peek = Peek(choose, self.outbound.detect_timeout_ms / 1000.0, self._peeking.discard)
        self._peeking.add(peek)
        return peek
