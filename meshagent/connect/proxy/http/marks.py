"""What a sidecar puts on requests: who asks, a name for each request. Filters, pure.

`x-forwarded-client-cert`: the inbound side appends what it has verified, so the last element is the one to believe; the
outbound side takes away what an application says of itself.

Source: Envoy's HTTP connection manager (`forward_client_cert_details`, `x-request-id`, `x-forwarded-proto`); RFC 9562
section 5.4. What may change here: further marks.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from meshagent.connect.proxy.http.messages import get

if TYPE_CHECKING:
    from meshagent.connect.proxy.http.exchange import Exchange
    from meshagent.connect.proxy.http.hooks import LocalReply

__all__ = ["WhoAsks", "from_the_application", "request_id", "say_who_asks"]

_CERT = b"x-forwarded-client-cert"


def from_the_application(exchange: Exchange) -> LocalReply | None:
    """What an application says about certificates is not passed on: its sidecar speaks for it."""
    head = exchange.head
    if get(head.headers, _CERT) is not None:
        head.headers = [one for one in head.headers if one[0] != _CERT]
    if get(head.headers, b"x-forwarded-proto") is None:
        head.headers.append((b"x-forwarded-proto", b"http"))
    return None


class WhoAsks:
    """`Filter`: ours comes last. `sanitize` says whether the application is told of nobody, as the mesh may want it."""

    def __init__(self, sanitize: Callable[[], bool] = lambda: False) -> None:
        self._sanitize = sanitize

    def __call__(self, exchange: Exchange) -> LocalReply | None:
        if self._sanitize():
            exchange.head.headers = [one for one in exchange.head.headers if one[0] != _CERT]
            return None
        return say_who_asks(exchange)


def say_who_asks(exchange: Exchange) -> LocalReply | None:
    """Append what was verified to what came along: one header, however many came, so that ours is last."""
    head = exchange.head
    came = [value for name, value in head.headers if name == _CERT]
    if came:
        head.headers = [one for one in head.headers if one[0] != _CERT]
    head.headers.append((_CERT, b",".join([*came, exchange.peer.forwarded])))
    return None


def request_id(rng: random.Random) -> bytes:
    """A random UUID (version 4) in its text form."""
    text = b"%032x" % (rng.getrandbits(128) & ~(0xF << 76) & ~(0x3 << 62) | 0x4 << 76 | 0x2 << 62)
    return b"-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
