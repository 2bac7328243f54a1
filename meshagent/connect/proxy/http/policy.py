"""What a route wants to happen to its requests, as values ready to use: bytes, seconds, clusters instead of names.

Made from a compiled chain (outbound) or the registration of the application (inbound) whenever a snapshot changes; a
request only reads them.

Source: surface rows M23-M25; Envoy's RouteAction, RetryPolicy, HTTPFault. What may change here: fields are added with
a default that changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from meshagent.connect.proxy.http.hooks import Cluster, Filter, LocalReply
from meshagent.connect.proxy.http.messages import Headers, RequestHead

__all__ = [
    "NO_EDITS",
    "Destination",
    "Fault",
    "HeaderEdits",
    "Mirror",
    "RetryPolicy",
    "Route",
    "RouteTable",
]


class HeaderEdits(msgspec.Struct, frozen=True):
    """Headers to remove, set (in place of all of the name) and add (behind them). Names are in lower case."""

    add: tuple[tuple[bytes, bytes], ...] = ()
    set: tuple[tuple[bytes, bytes], ...] = ()
    remove: frozenset[bytes] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.add or self.set or self.remove)

    def apply(self, headers: Headers) -> Headers:
        """The edited headers, in a list of their own."""
        gone = self.remove.union(name for name, _ in self.set)
        return [*(one for one in headers if one[0] not in gone), *self.set, *self.add]


NO_EDITS = HeaderEdits()


class RetryPolicy(msgspec.Struct, frozen=True):
    """When a request is tried again. `conditions` are Envoy's words (`5xx`, `connect-failure`, ...); `statuses` are
    those of `retriable-status-codes`. A back-off is drawn from 0 to `base_s` times two for each try, `max_s` at most.
    """

    num_retries: int = 1
    conditions: frozenset[str] = frozenset()
    statuses: frozenset[int] = frozenset()
    per_try_timeout_s: float = 0.0
    base_s: float = 0.025
    max_s: float = 0.25


class Fault(msgspec.Struct, frozen=True):
    """Errors on purpose. Percentages are 0..100. `header` (name, value or b"" for any) is needed, when it is set."""

    delay_s: float = 0.0
    delay_percent: float = 0.0
    abort_status: int = 0
    abort_percent: float = 0.0
    header: tuple[bytes, bytes] | None = None


class Mirror(msgspec.Struct, frozen=True):
    """A copy of so many percent of the requests goes to another cluster; its answers are thrown away."""

    cluster: Cluster
    percent: float = 100.0


class Destination(msgspec.Struct, frozen=True):
    """One cluster a route leads to, and what its split changes."""

    cluster: Cluster
    request: HeaderEdits = NO_EDITS
    response: HeaderEdits = NO_EDITS


class Route(msgspec.Struct, frozen=True):
    """What happens to the requests it matches.

    `splits` are (upper bound of the share, destination) in rising order, the last bound is 1.0: a number drawn from
    [0, 1) picks one. `timeout_s` runs from the end of the request to the end of the answer, 0 is none;
    `idle_timeout_s` is the longest silence of both sides. `hash_key` gives the sticky key of a request (head, the
    client's address) and a cookie to set on the answer, b"" without one. `rewrite` is (prefix to take off the path,
    what to put there). `direct` answers without any cluster (redirects).
    """

    name: str
    splits: tuple[tuple[float, Destination], ...] = ()
    timeout_s: float = 15.0
    idle_timeout_s: float = 300.0
    request: HeaderEdits = NO_EDITS
    response: HeaderEdits = NO_EDITS
    rewrite: tuple[bytes, bytes] | None = None
    retry: RetryPolicy | None = None
    fault: Fault | None = None
    mirror: Mirror | None = None
    hash_key: Callable[[RequestHead, str], tuple[int | None, bytes]] | None = None
    direct: Callable[[RequestHead], LocalReply] | None = None
    #: Looks at the request once this is its route; a reply ends it.
    check: Filter | None = None
    #: Labels for telemetry: what the operator calls it.
    labels: tuple[tuple[str, str], ...] = ()


class RouteTable(Protocol):
    """The routes of one listener."""

    def match(self, head: RequestHead) -> Route | None:
        """The first route that fits, None without one."""
