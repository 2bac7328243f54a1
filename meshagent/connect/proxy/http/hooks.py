"""What an exchange asks of the parts around it: clusters, breakers, filters, telemetry. Types and a few values.

The chain of one request: `filters` (RBAC, rate limits, ...) -> route -> fault -> cluster (breaker, pick) -> pool ->
upstream stream; then retries. Each part is asked by a plain call and answers at once.

Source: design.md "Built-in proxy"; Envoy's router filter and its response flags (envoyproxy.io, "Access log:
%RESPONSE_FLAGS%"). What may change here: methods are added together with all that implement them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Protocol

import msgspec

from meshagent.connect.proxy.cluster.host import Host
from meshagent.connect.proxy.http.messages import Headers
from meshagent.connect.proxy.http.streams import ClientCodec, Reset

if TYPE_CHECKING:
    from meshagent.connect.proxy.http.exchange import Exchange

__all__ = [
    "CONNECT_FAILED",
    "RESET",
    "TIMED_OUT",
    "Breaker",
    "Cluster",
    "Filter",
    "Host",
    "LocalReply",
    "NoTelemetry",
    "Pool",
    "PoolWaiter",
    "Telemetry",
]

#: Outcomes of a try that are no status: told to `Cluster.result` in place of 100..599 (Envoy's local origin errors).
CONNECT_FAILED, TIMED_OUT, RESET = 1, 2, 3


class Pool(Protocol):
    """The connections to one host."""

    def acquire(self, waiter: PoolWaiter) -> ClientCodec | None:
        """A connection with capacity, or None: `waiter` is told later, or told now that there will be none."""

    def cancel(self, waiter: PoolWaiter) -> None:
        """It waits no more."""


class PoolWaiter(Protocol):
    """Waits for a connection. `fresh`: only one that no request was sent on."""

    fresh: bool

    def on_connection(self, codec: ClientCodec) -> None:
        """Here is one; open a stream on it before returning."""

    def on_no_connection(self, why: Reset, detail: str) -> None:
        """There will be none: CONNECT_FAILURE, CONNECT_TIMEOUT or OVERFLOW. `detail` is for logs."""


class Breaker(Protocol):
    """The limits of one cluster. A `try_*` that gave True is followed by exactly one `end_*`."""

    def try_request(self) -> bool:
        """One more request at once (max_requests)."""

    def end_request(self) -> None:
        """It has ended."""

    def try_retry(self) -> bool:
        """One more retry at once: the retry budget (20 % of active requests, at least 3)."""

    def end_retry(self) -> None:
        """It has ended."""

    def try_pending(self) -> bool:
        """One more request that waits for a connection (max_pending_requests)."""

    def end_pending(self) -> None:
        """It waits no more."""

    def try_connection(self) -> bool:
        """One more connection (max_connections)."""

    def end_connection(self) -> None:
        """It is closed."""


class Cluster(Protocol):
    """Where the requests of one resolver node go."""

    #: The id of the first target.
    name: str

    @property
    def breaker(self) -> Breaker:
        """Its limits."""

    def pick(self, hash_key: int | None, exclude: Collection[Host]) -> Host | None:
        """An instance for one try. `hash_key` comes from the route's hash policy (64 bits, None without one);
        `exclude` are hosts tried already for this request: another one is preferred, the same one better than none.
        None: no healthy instance."""

    def result(self, host: Host, outcome: int, latency_s: float) -> None:
        """How a try ended: a status, or CONNECT_FAILED, TIMED_OUT, RESET. `latency_s` is until the head came."""


class LocalReply(msgspec.Struct, frozen=True):
    """An answer the proxy gives itself. `flag` is Envoy's response flag (UH, UF, UO, UT, NR, FI, RL, UAEX, ...);
    `detail` says why, for logs (Envoy's response code details). Answers to gRPC are put in its words by the exchange.
    """

    status: int
    body: bytes = b""
    flag: str = ""
    detail: str = ""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    #: The gRPC status to answer a gRPC request with; -1: from the HTTP status (grpc's http-grpc-status-mapping).
    grpc_status: int = -1


#: Looks at a request (`exchange.head`, `.peer`, `.route` is not known yet) and may change its headers. A reply ends it.
Filter = Callable[["Exchange"], LocalReply | None]


class Telemetry(Protocol):
    """Told of every request. What it needs is on the exchange (see `Exchange`): nothing is copied for it."""

    def request_started(self, exchange: Exchange) -> None:
        """The head has come; nothing was decided. Trace headers are added here. It may keep something in
        `exchange.trace`."""

    def try_started(self, exchange: Exchange, headers: Headers) -> None:
        """A try leaves for `exchange.host` with these headers, which may be edited (a span of its own)."""

    def request_finished(self, exchange: Exchange) -> None:
        """All is known. Called exactly once for each that started."""


class NoTelemetry:
    """Tells nobody."""

    def request_started(self, exchange: Exchange) -> None:
        pass

    def try_started(self, exchange: Exchange, headers: Headers) -> None:
        pass

    def request_finished(self, exchange: Exchange) -> None:
        pass
