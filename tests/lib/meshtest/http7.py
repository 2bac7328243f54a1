"""Stand-ins for the neighbours of an exchange: a client's stream, hosts whose answers a test gives, a cluster.

Used by tests/connect/proxy/http. What may change here: further neighbours.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection

from meshagent.catalog.entries.service_resolver import Subset
from meshagent.catalog.model import MeshGateway, TransparentProxy
from meshagent.connect.chain import Target
from meshagent.connect.proxy.cluster.host import Host
from meshagent.connect.proxy.http.hooks import PoolWaiter
from meshagent.connect.proxy.http.manager import Manager
from meshagent.connect.proxy.http.messages import Headers, RequestHead, ResponseHead
from meshagent.connect.proxy.http.policy import Destination, Route
from meshagent.connect.proxy.http.streams import DownstreamHandler, Peer, Reset, UpstreamHandler
from meshagent.connect.proxy.http.timers import TimerWheel
from meshagent.connect.snapshot import Cluster, Endpoint

__all__ = [
    "Client",
    "FakeBreaker",
    "FakeCluster",
    "FakeCodec",
    "FakePool",
    "FakeWire",
    "Now",
    "Routes",
    "World",
    "request",
]


class Now:
    """A clock by hand."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


def request(
    path: bytes = b"/", method: bytes = b"GET", headers: Headers | None = None, authority: bytes = b"api"
) -> RequestHead:
    return RequestHead(method, b"http", authority, path, list(headers or []))


class Client:
    """A `DownstreamStream` that remembers what it was sent."""

    handler: DownstreamHandler

    def __init__(self, peer: Peer | None = None) -> None:
        self.peer = peer or Peer()
        self.informational: list[ResponseHead] = []
        self.head: ResponseHead | None = None
        self.body = b""
        self.trailers: Headers | None = None
        self.ended = False
        self.was_reset: Reset | None = None
        self.unwanted = False
        self.paused = False

    @property
    def status(self) -> int:
        return self.head.status if self.head is not None else 0

    def send_informational(self, head: ResponseHead) -> None:
        assert self.head is None
        self.informational.append(head)

    def send_head(self, head: ResponseHead, end: bool) -> None:
        assert self.head is None
        self.head, self.ended = head, end

    def send_data(self, data: bytes, end: bool) -> None:
        assert self.head is not None
        assert not self.ended
        self.body += data
        self.ended = end

    def send_trailers(self, trailers: Headers) -> None:
        assert not self.ended
        self.trailers, self.ended = trailers, True

    def reset(self, why: Reset) -> None:
        if self.ended:
            self.unwanted = True  # the rest of the request
        else:
            self.was_reset = why

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


class FakeStream:
    """One request that came to a host; the test answers with `handler`."""

    def __init__(self, host: str, head: RequestHead, end: bool, handler: UpstreamHandler) -> None:
        self.host = host
        self.head = head.copy()
        self.handler = handler
        self.body = b""
        self.ended = end
        self.trailers: Headers | None = None
        self.was_reset: Reset | None = None
        self.paused = False

    def send_data(self, data: bytes, end: bool) -> None:
        assert not self.ended
        self.body += data
        self.ended = end

    def send_trailers(self, trailers: Headers) -> None:
        assert not self.ended
        self.trailers, self.ended = trailers, True

    def reset(self, why: Reset) -> None:
        self.was_reset = why

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def answer(self, status: int = 200, body: bytes = b"", headers: Headers | None = None) -> None:
        self.handler.on_head(ResponseHead(status, list(headers or [])), not body)
        if body:
            self.handler.on_data(body, True)


class FakeCodec:
    """A `ClientCodec` that hands its requests to the test."""

    closed = False
    capacity = 1
    active = 0
    opened = 0
    on_change: Callable[[], None]

    def __init__(self, pool: FakePool) -> None:
        self.pool = pool

    def open_stream(self, head: RequestHead, end: bool, handler: UpstreamHandler) -> FakeStream:
        stream = FakeStream(self.pool.name, head, end, handler)
        self.pool.world.requests.append(stream)
        return stream

    def data_received(self, data: bytes) -> None: ...
    def eof_received(self) -> None: ...
    def connection_lost(self, why: str) -> None: ...
    def writing_blocked(self) -> None: ...
    def writing_resumed(self) -> None: ...
    def drain(self) -> None: ...


class FakeWire:
    """A `Wire` that remembers what was written."""

    def __init__(self, peer: Peer | None = None) -> None:
        self.peer = peer or Peer()
        self.sent = b""
        self.closed = self.aborted = self.paused = self.eof = False

    def write(self, data: bytes) -> None:
        assert not self.eof
        self.sent += data

    def defer(self, flush: Callable[[], None]) -> None:
        flush()

    def write_eof(self) -> None:
        self.eof = True

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def take(self) -> bytes:
        """What was written since the last time."""
        sent, self.sent = self.sent, b""
        return sent


class FakePool:
    """`connected`: connections are there at once. Otherwise waiters wait until the test calls `connect` or `fail`."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.connected = True
        self.waiters: list[PoolWaiter] = []

    def acquire(self, waiter: PoolWaiter) -> FakeCodec | None:
        if self.connected:
            return FakeCodec(self)
        self.waiters.append(waiter)
        return None

    def cancel(self, waiter: PoolWaiter) -> None:
        self.waiters.remove(waiter)

    def connect(self) -> None:
        for waiter in self.waiters:
            waiter.on_connection(FakeCodec(self))
        self.waiters.clear()

    def fail(self, why: Reset = Reset.CONNECT_FAILURE) -> None:
        waiters, self.waiters = self.waiters, []
        for waiter in waiters:
            waiter.on_no_connection(why, "refused")


class FakeBreaker:
    """Counts; `limit` is of everything."""

    def __init__(self) -> None:
        self.limit = 1000
        self.requests = self.retries = 0

    def try_request(self) -> bool:
        if self.requests >= self.limit:
            return False
        self.requests += 1
        return True

    def end_request(self) -> None:
        self.requests -= 1

    def try_retry(self) -> bool:
        if self.retries >= self.limit:
            return False
        self.retries += 1
        return True

    def end_retry(self) -> None:
        self.retries -= 1

    def try_pending(self) -> bool:
        return True

    def end_pending(self) -> None: ...

    def try_connection(self) -> bool:
        return True

    def end_connection(self) -> None: ...


class FakeCluster:
    """Hosts in order; those tried come last."""

    def __init__(self, world: World, name: str, hosts: int = 1) -> None:
        self.name = name
        self.breaker = FakeBreaker()
        self.pools = [FakePool(world, f"{name}-{at}") for at in range(hosts)]
        self.hosts = [host_of(name, pool) for pool in self.pools]
        self.results: list[tuple[str, int]] = []
        self.keys: list[int | None] = []

    def pick(self, hash_key: int | None, exclude: Collection[Host]) -> Host | None:
        self.keys.append(hash_key)
        return next((host for host in self.hosts if host not in exclude), self.hosts[0] if self.hosts else None)

    def result(self, host: Host, outcome: int, latency_s: float) -> None:
        self.results.append((host.endpoint.id, outcome))


def host_of(cluster: str, pool: FakePool) -> Host:
    """An instance whose connections are the pool's."""
    target = Target(
        cluster, cluster, "", "dc1", "", "5s", MeshGateway(), Subset(), TransparentProxy(), False, cluster, cluster
    )
    host = Host(Cluster(target, ()), Endpoint(pool.name, "node", "192.0.2.1", 80), 0.0)
    host.pool = pool
    return host


class Routes:
    """One route for everything."""

    def __init__(self, route: Route | None) -> None:
        self.route = route

    def match(self, head: RequestHead) -> Route | None:
        return self.route


class World:
    """A manager with one cluster `api` and a clock by hand."""

    def __init__(self, hosts: int = 1) -> None:
        self.now = Now()
        self.timers = TimerWheel(self.now)
        self.requests: list[FakeStream] = []
        self.api = FakeCluster(self, "api", hosts)
        self.finished: list[tuple[int, str]] = []
        self.manager = Manager("outbound", self.timers, random.Random(1), self)
        self.route()

    def route(self, **fields: object) -> None:
        fields.setdefault("splits", ((1.0, Destination(self.api)),))
        self.manager.routes = Routes(Route("default", **fields))  # type: ignore[arg-type]

    def ask(self, head: RequestHead | None = None, end: bool = True, peer: Peer | None = None) -> Client:
        client = Client(peer)
        self.manager.on_request(client, head or request(), end)
        return client

    def pass_time(self, seconds: float) -> None:
        """Let time pass in steps, as an edge would."""
        end = self.now.time + seconds
        while self.now.time < end:
            self.now.time = min(end, self.now.time + 0.05)
            self.timers.advance()

    def request_started(self, exchange: object) -> None: ...

    def try_started(self, exchange: object, headers: Headers) -> None: ...

    def request_finished(self, exchange: object) -> None:
        self.finished.append((exchange.status, exchange.flag))  # type: ignore[attr-defined]

    def settled(self) -> bool:
        """Nothing is on its way and all that was taken has been given back."""
        breaker = self.api.breaker
        return (
            not self.manager.active
            and (breaker.requests, breaker.retries) == (0, 0)
            and all(host.active == 0 for host in self.api.hosts)
        )
