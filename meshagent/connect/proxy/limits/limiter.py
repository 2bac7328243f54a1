"""Which bucket a request or connection takes from, and whether it may go on. Pure.

Source: `catalog/entries/rate_limits.py` for the rules; Envoy's local rate limit filter for the words of the answer.
What may change here: further buckets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from meshagent.catalog.entries.rate_limits import NO_LIMITS, Rate, RateLimits, RouteRate
from meshagent.connect.proxy.limits.bucket import Bucket

__all__ = ["MAX_IDENTITIES", "RateLimiter", "Verdict"]

#: Callers with a bucket of their own; who has been silent for longest loses his (and begins with a full one).
MAX_IDENTITIES = 4096


@dataclass(frozen=True, slots=True)
class Verdict:
    """Over a limit: `what` it was of, and what the client is told of it."""

    what: str
    limit: int
    remaining: int
    reset_s: int


class RateLimiter:
    """The buckets of one service here. A snapshot's news keep what is left in them."""

    def __init__(self, limits: RateLimits = NO_LIMITS, now: float = 0.0) -> None:
        self.limits = NO_LIMITS
        self._instance: Bucket | None = None
        self._routes: list[tuple[Callable[[str], bool], Bucket]] = []
        self._identities: dict[str, Bucket] = {}
        self._connections: Bucket | None = None
        self.active = False
        self.told(limits, now)

    def told(self, limits: RateLimits, now: float) -> None:
        """Other limits hold from now on."""
        if limits == self.limits:
            return
        before = {rule: bucket for rule, (_, bucket) in zip(self.limits.routes, self._routes, strict=True)}
        self._instance = _kept(self._instance, limits.instance, now)
        self._connections = _kept(self._connections, limits.connections, now)
        self._routes = [(_matcher(rule), before.get(rule) or Bucket(rule.rate, now)) for rule in limits.routes]
        if limits.identity != self.limits.identity:
            self._identities.clear()
        self.limits = limits
        self.active = bool(limits.instance or limits.routes or limits.identity)

    def check(self, now: float, path: str, identity: str) -> Verdict | None:
        """A request for a path (without its query) by a caller; None lets it go on."""
        if self._is_over_its_own(now, identity):
            return _verdict("identity", self._identities[identity])
        bucket, what = self._instance, "instance"
        for matches, own in self._routes:
            if matches(path):
                bucket, what = own, "route"
                break
        return _verdict(what, bucket) if bucket is not None and not bucket.take(now) else None

    def _is_over_its_own(self, now: float, identity: str) -> bool:
        """Asked first: who is over his own rate takes nothing of what the others share, as in Envoy."""
        rate = self.limits.identity
        if rate is None or not identity:
            return False
        identities = self._identities
        held = identities.pop(identity, None)
        if held is None:
            if len(identities) >= MAX_IDENTITIES:
                del identities[next(iter(identities))]
            held = Bucket(rate, now)
        identities[identity] = held  # the last one again
        return not held.take(now)

    def may_connect(self, now: float) -> bool:
        """Whether one more connection may come in."""
        bucket = self._connections
        return bucket is None or bucket.take(now)


def _verdict(what: str, bucket: Bucket) -> Verdict:
    return Verdict(what, bucket.rate.burst, bucket.left, bucket.wait_s)


def _kept(held: Bucket | None, rate: Rate | None, now: float) -> Bucket | None:
    if rate is None:
        return None
    if held is None:
        return Bucket(rate, now)
    held.told(rate)
    return held


def _matcher(rule: RouteRate) -> Callable[[str], bool]:
    if rule.exact:
        return lambda path: path == rule.exact
    if rule.prefix:
        return lambda path: path.startswith(rule.prefix)
    import re2  # linear time for the user's expressions; only where one is used

    pattern = re2.compile(rule.regex)
    return lambda path: pattern.fullmatch(path) is not None
