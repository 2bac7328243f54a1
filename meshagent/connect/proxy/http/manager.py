"""The HTTP side of one listener: what all its exchanges share, and the exchanges that are on their way.

A listener makes one, gives `on_request` to the codec of every connection and puts in new routes and filters when a
snapshot comes: requests that are on their way finish with what they started with.

Source: Envoy's HTTP connection manager. What may change here: fields are added with a default.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from meshagent.connect.proxy.http.exchange import Exchange
from meshagent.connect.proxy.http.hooks import Filter, NoTelemetry, Telemetry
from meshagent.connect.proxy.http.messages import RequestHead
from meshagent.connect.proxy.http.policy import Route, RouteTable
from meshagent.connect.proxy.http.streams import DownstreamStream, Reset, Timers

__all__ = ["MIN_BODY_RATE", "SWEEP_S", "Manager"]

#: How often streams are looked at for silence, in seconds.
SWEEP_S = 1.0
#: Bytes a second (Apache's mod_reqtimeout asks for 500 after 20 s; uploads over poor lines are to pass here).
MIN_BODY_RATE = 100


class _NoRoutes:
    def match(self, head: RequestHead) -> Route | None:
        return None


class Manager:
    """Filters, routes and telemetry of one listener. `direction` is `inbound` or `outbound`."""

    def __init__(
        self,
        direction: str,
        timers: Timers,
        rng: random.Random,
        telemetry: Telemetry | None = None,
        request_id: Callable[[], bytes] | None = None,
    ) -> None:
        """`request_id` makes an `x-request-id` where a request has none."""
        self.direction = direction
        self.timers = timers
        self.rng = rng
        self.telemetry: Telemetry = telemetry or NoTelemetry()
        self.request_id = request_id
        self.filters: tuple[Filter, ...] = ()
        self.routes: RouteTable = _NoRoutes()
        #: The name of the upstream (outbound) or the service (inbound), for telemetry.
        self.name = ""
        #: What a request's body has to bring, in bytes a second, after a minute; 0 for any.
        self.min_body_rate = MIN_BODY_RATE
        self.active: set[Exchange] = set()
        #: How often codecs refused what they read, by reason.
        self.refused: dict[str, int] = {}
        self._sweeping = False

    def on_request(self, stream: DownstreamStream, head: RequestHead, end: bool) -> None:
        """`OnRequest` of the listener's codecs."""
        exchange = Exchange(self, stream, head, end)
        self.active.add(exchange)
        if not self._sweeping:
            self._sweeping = True
            self.timers.after(SWEEP_S, self._sweep)
        exchange.start()

    def on_refused(self, status: int, detail: str) -> None:
        """What a codec answered itself, because it was no request."""
        self.refused[detail] = self.refused.get(detail, 0) + 1

    def finished(self, exchange: Exchange) -> None:
        """One is over."""
        self.active.discard(exchange)
        self.telemetry.request_finished(exchange)

    def abort_all(self, why: Reset) -> None:
        """End all exchanges."""
        for exchange in list(self.active):
            exchange.abort(why)

    def _sweep(self) -> None:
        """End what has been silent for too long. One timer for all, so that a request costs none."""
        now = self.timers.now()
        for exchange in list(self.active):
            exchange.check_idle(now)
            exchange.check_body(now, SWEEP_S)
        self._sweeping = bool(self.active)
        if self._sweeping:
            self.timers.after(SWEEP_S, self._sweep)
