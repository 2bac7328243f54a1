"""One stream of an HTTP/2 connection: what both sides' streams have in common.

What comes while its handler does not read is held; it is acknowledged to the peer when it was taken, and so bounded by
the stream's window.

Source: RFC 9113 sections 5.1 and 5.2. What may change here: what holds for both sides alike.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import ngh2

from meshagent.connect.proxy.http.messages import Headers
from meshagent.connect.proxy.http.streams import Reset

if TYPE_CHECKING:
    from meshagent.connect.proxy.http2.connection import Connection

__all__ = ["Stream"]


class Stream:
    """One request with its answer, as a peer's frames see it. `over`: no more callbacks, calls are ignored."""

    __slots__ = ("_held", "_paused", "blocked", "code", "connection", "ended_in", "ended_out", "handler", "id", "over")

    handler: Any

    def __init__(self, connection: Connection, stream_id: int) -> None:
        self.connection = connection
        self.id = stream_id
        #: Whether the peer's message has ended, and ours.
        self.ended_in = False
        self.ended_out = False
        self.over = False
        #: Whether the handler was told `on_blocked` last.
        self.blocked = False
        #: The code of the peer's RST_STREAM.
        self.code: int | None = None
        self._paused = False
        self._held: deque[tuple[bytes, bool] | Headers] | None = None

    def send_data(self, data: bytes, end: bool) -> None:
        if self.over or self.ended_out:
            return
        connection = self.connection
        try:
            connection.engine.send_data(self.id, data, end_stream=end)
        except ngh2.NGH2Error:  # the peer has reset it, which is told in a moment
            return
        if end:
            self.ended_out = True
            connection.ended(self)
        connection.touched.append(self)
        if not connection.deferred:
            connection.defer()

    def send_trailers(self, trailers: Headers) -> None:
        if self.over or self.ended_out:
            return
        connection = self.connection
        try:
            connection.engine.send_trailers(self.id, trailers)
        except ngh2.NGH2Error:
            return
        self.ended_out = True
        connection.ended(self)
        if not connection.deferred:
            connection.defer()

    def reset(self, why: Reset) -> None:
        if self.over:
            return
        self.over = True
        self.connection.reset(self, why)

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        if not self._paused:
            return
        self._paused = False
        held = self._held
        while held and not self._paused and not self.over:
            one = held.popleft()
            if isinstance(one, tuple):
                self.connection.owed -= len(one[0])
                self._deliver(*one)
            else:
                self.handler.on_trailers(one)
        if not held:
            self._held = None

    @property
    def held(self) -> bool:
        """Whether something is still to be delivered."""
        return bool(self._held)

    # --- what the connection says ------------------------------------------------------------------------------

    def data(self, data: bytes, end: bool) -> None:
        """A DATA frame."""
        if end:
            self.ended_in = True
        if self.over:
            self.connection.taken(self, len(data))
        elif self._paused or self._held:
            self._hold((data, end))
        else:
            self._deliver(data, end)

    def trailers(self, trailers: Headers) -> None:
        """A header block that ends the message."""
        self.ended_in = True
        if self._paused or self._held:
            self._hold(trailers)
        elif not self.over:
            self.handler.on_trailers(trailers)

    def drop_held(self) -> None:
        """What was not taken will not be: it is acknowledged for the connection's sake."""
        held, self._held = self._held, None
        for one in held or ():
            if isinstance(one, tuple):
                self.connection.owed -= len(one[0])
                self.connection.taken(self, len(one[0]))

    def _hold(self, one: tuple[bytes, bool] | Headers) -> None:
        if self._held is None:
            self._held = deque()
        self._held.append(one)
        if isinstance(one, tuple):
            self.connection.owed += len(one[0])

    def _deliver(self, data: bytes, end: bool) -> None:
        if data:
            self.connection.taken(self, len(data))
        self.handler.on_data(data, end)
