"""The rate limits as a filter of requests: 429 with Envoy's headers.

Source: Envoy's local rate limit filter (`local_rate_limited`, flag RL, `x-envoy-ratelimited`) and
draft-ietf-httpapi-ratelimit-headers-03 (`x-ratelimit-*`). What may change here: the words of the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from meshagent.connect.proxy.http.hooks import Filter, LocalReply
from meshagent.connect.proxy.limits.limiter import RateLimiter, Verdict

if TYPE_CHECKING:
    from meshagent.connect.proxy.http.exchange import Exchange

__all__ = ["rate_filter", "reply_of"]


def rate_filter(limiter: RateLimiter, now: Callable[[], float]) -> Filter:
    """A filter that asks the limiter. It stands behind the one that knows `exchange.identity`."""

    def check(exchange: Exchange) -> LocalReply | None:
        if not limiter.active:
            return None
        path = exchange.head.path.partition(b"?")[0].decode("latin-1")
        verdict = limiter.check(now(), path, exchange.identity or exchange.peer.identity)
        return reply_of(verdict) if verdict is not None else None

    return check


def reply_of(verdict: Verdict) -> LocalReply:
    """The answer to a request over a limit."""
    return LocalReply(
        429,
        b"local_rate_limited",
        "RL",
        "local_rate_limited",
        (
            (b"x-envoy-ratelimited", b"true"),
            (b"x-ratelimit-limit", b"%d" % verdict.limit),
            (b"x-ratelimit-remaining", b"%d" % verdict.remaining),
            (b"x-ratelimit-reset", b"%d" % verdict.reset_s),
        ),
    )
