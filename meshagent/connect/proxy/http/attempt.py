"""One try of a request at one instance: waits for a connection, sends, hears the answer.

Source: `exchange.py`, whose part it is. What may change here: what is told to clusters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshagent.connect.proxy.http.grpc import UNKNOWN, outcome, status_of
from meshagent.connect.proxy.http.hooks import CONNECT_FAILED, RESET, TIMED_OUT, Cluster, Host
from meshagent.connect.proxy.http.messages import Headers, ResponseHead
from meshagent.connect.proxy.http.streams import ClientCodec, Reset, Timer, UpstreamStream

if TYPE_CHECKING:
    from meshagent.connect.proxy.http.exchange import Exchange

__all__ = ["Attempt"]

_OUTCOMES = {Reset.CONNECT_FAILURE: CONNECT_FAILED, Reset.CONNECT_TIMEOUT: CONNECT_FAILED, Reset.TIMEOUT: TIMED_OUT}


class Attempt:
    """`UpstreamHandler` and `PoolWaiter` of one try. `fresh` asks for a connection that nobody has used yet."""

    __slots__ = (
        "_answered",
        "_latency_s",
        "_over",
        "_started",
        "_timer",
        "cluster",
        "exchange",
        "fresh",
        "host",
        "stream",
    )

    def __init__(self, exchange: Exchange, cluster: Cluster, host: Host, fresh: bool) -> None:
        self.exchange = exchange
        self.cluster = cluster
        self.host = host
        self.fresh = fresh
        self.stream: UpstreamStream | None = None
        timers = exchange.manager.timers
        self._started = timers.now()
        self._answered = False
        #: Of a gRPC answer that has begun: seconds until its head came.
        self._latency_s: float | None = None
        self._over = False
        host.active += 1
        route = exchange.route
        policy = route.retry if route is not None else None
        limit = policy.per_try_timeout_s if policy is not None else 0.0
        self._timer: Timer | None = timers.after(limit, self._timed_out) if limit else None

    # --- what the exchange says --------------------------------------------------------------------------------

    def give_up(self, why: Reset) -> None:
        """No answer is wanted any more."""
        if self._over:
            return
        stream = self.stream
        if not self._answered and why is Reset.TIMEOUT:
            self._tell(TIMED_OUT)
        self._end()
        if stream is not None:
            stream.reset(why)
        else:
            self.host.pool.cancel(self)

    def ended(self) -> bool:
        """Whether it is over."""
        return self._over

    # --- what the pool says ------------------------------------------------------------------------------------

    def on_connection(self, codec: ClientCodec) -> None:
        if self._over:
            return
        exchange = self.exchange
        head, end = exchange.opening(self)
        stream = codec.open_stream(head, end, self)
        if self.ended():
            return
        self.stream = stream
        if not end:
            exchange.opened(self)

    def on_no_connection(self, why: Reset, detail: str) -> None:
        self._failed(why, detail)

    # --- what the server says ----------------------------------------------------------------------------------

    def on_informational(self, head: ResponseHead) -> None:
        if not self._over:
            self.exchange.informational(head)

    def on_head(self, head: ResponseHead, end: bool) -> None:
        if self._over:
            return
        self._answered = True
        if not self.exchange.grpc or head.status != 200:
            self._tell(head.status)
        elif end:
            self._tell_grpc(head.headers)
        else:
            # How it ended is told by its trailers, how long it took by its head.
            self._latency_s = self.exchange.manager.timers.now() - self._started
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if end:
            self._end()
        self.exchange.answer(self, head, end)

    def on_data(self, data: bytes, end: bool) -> None:
        if self._over:
            return
        if end:
            self._end()
            if self._latency_s is not None:
                self._tell_grpc(())
        self.exchange.body(data, end)

    def on_trailers(self, trailers: Headers) -> None:
        if self._over:
            return
        self._end()
        if self._latency_s is not None:
            self._tell_grpc(trailers)
        self.exchange.ended(trailers)

    def on_reset(self, why: Reset) -> None:
        self._failed(why, "")

    def on_blocked(self) -> None:
        if not self._over:
            self.exchange.hold_client()

    def on_writable(self) -> None:
        if not self._over:
            self.exchange.release_client()

    # --- inside ------------------------------------------------------------------------------------------------

    def _failed(self, why: Reset, detail: str) -> None:
        if self._over:
            return
        if (not self._answered or self._latency_s is not None) and why is not Reset.OVERFLOW:
            self._tell(_OUTCOMES.get(why, RESET))
        self._end()
        self.exchange.failed(self, why, detail)

    def _timed_out(self) -> None:
        self._timer = None
        self.give_up(Reset.TIMEOUT)
        self.exchange.try_timed_out(self)

    def _tell_grpc(self, trailers: Headers | tuple[()]) -> None:
        status = status_of(trailers)
        self._tell(outcome(status if status >= 0 else UNKNOWN))

    def _tell(self, result: int) -> None:
        latency_s = self._latency_s
        if latency_s is None:
            latency_s = self.exchange.manager.timers.now() - self._started
        self._latency_s = None
        self.cluster.result(self.host, result, latency_s)

    def _end(self) -> None:
        self._over = True
        self.stream = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.host.active -= 1
        self.cluster.breaker.end_request()
