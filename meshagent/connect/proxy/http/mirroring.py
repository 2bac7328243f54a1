"""A copy of a request for another cluster, whose answer nobody waits for.

The copy never holds up the request: it is given up when its connection is not there in time for the body, when the
body is long, or when the other side does not take it.

Source: Envoy's request mirroring (`-shadow` at the end of the authority). What may change here: limits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshagent.connect.proxy.http.hooks import Cluster, Host
from meshagent.connect.proxy.http.messages import Headers, RequestHead, ResponseHead
from meshagent.connect.proxy.http.streams import ClientCodec, Reset, Timer, UpstreamStream

if TYPE_CHECKING:
    from meshagent.connect.proxy.http.manager import Manager

__all__ = ["MirrorCopy"]

#: What is kept of a body while there is no connection yet.
_BUFFER_BYTES = 64 * 1024
#: A copy is given up after this long.
_TIMEOUT_S = 15.0


class MirrorCopy:
    """`PoolWaiter` and `UpstreamHandler` of the copy."""

    fresh = False
    __slots__ = ("_buffer", "_buffered", "_cluster", "_done", "_head", "_host", "_over", "_stream", "_timer")

    def __init__(self, manager: Manager, cluster: Cluster, head: RequestHead, end: bool) -> None:
        self._cluster = cluster
        self._head = head.copy()
        self._head.authority = _shadow(head.authority)
        self._done = end
        self._buffer: list[bytes] = []
        self._buffered = 0
        self._stream: UpstreamStream | None = None
        self._over = False
        self._host: Host | None = None
        self._timer: Timer | None = None
        if not cluster.breaker.try_request():
            self._over = True
            return
        host = cluster.pick(None, ())
        if host is None:
            cluster.breaker.end_request()
            self._over = True
            return
        self._host = host
        host.active += 1
        self._timer = manager.timers.after(_TIMEOUT_S, self.give_up)
        codec = host.pool.acquire(self)
        if codec is not None:
            self.on_connection(codec)

    def data(self, data: bytes, end: bool) -> None:
        """A piece of the request's body."""
        self._done = self._done or end
        if self._stream is not None:
            self._stream.send_data(data, end)
        elif not self._over:
            self._buffer.append(data)
            self._buffered += len(data)
            if self._buffered > _BUFFER_BYTES:
                self.give_up()

    def trailers(self, trailers: Headers) -> None:
        """The request ends with trailers; a copy goes without."""
        self.data(b"", True)

    def give_up(self) -> None:
        """Enough."""
        if self._over:
            return
        stream = self._stream
        self._end()
        if stream is not None:
            stream.reset(Reset.LOCAL)
        elif self._host is not None:
            self._host.pool.cancel(self)

    # --- PoolWaiter and UpstreamHandler ------------------------------------------------------------------------

    def on_connection(self, codec: ClientCodec) -> None:
        if self._over:
            return
        buffer, self._buffer = self._buffer, []
        stream = codec.open_stream(self._head, self._done and not buffer, self)
        if self._ended():
            return
        self._stream = stream
        for at, data in enumerate(buffer):
            stream.send_data(data, self._done and at == len(buffer) - 1)

    def on_no_connection(self, why: Reset, detail: str) -> None:
        self._end()

    def on_informational(self, head: ResponseHead) -> None:
        pass

    def on_head(self, head: ResponseHead, end: bool) -> None:
        if end:
            self._end()

    def on_data(self, data: bytes, end: bool) -> None:
        if end:
            self._end()

    def on_trailers(self, trailers: Headers) -> None:
        self._end()

    def on_reset(self, why: Reset) -> None:
        self._end()

    def on_blocked(self) -> None:
        self.give_up()

    def on_writable(self) -> None:
        pass

    def _ended(self) -> bool:
        return self._over

    def _end(self) -> None:
        if self._over:
            return
        self._over = True
        self._stream = None
        self._buffer = []
        if self._timer is not None:
            self._timer.cancel()
        if self._host is not None:
            self._host.active -= 1
            self._cluster.breaker.end_request()


def _shadow(authority: bytes) -> bytes:
    """`api:80` -> `api-shadow:80`, as Envoy's."""
    name, colon, port = authority.rpartition(b":")
    return name + b"-shadow:" + port if colon and port.isdigit() else authority + b"-shadow"
