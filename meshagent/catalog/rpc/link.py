"""I/O edge: one connection: the machine of `connection.py` on an asyncio transport (plain or TLS).

Source: docs.python.org/3/library/asyncio-protocol. Frames written in one turn of the loop leave together. Bytes are
bounded by the machine; the socket's own buffer by `HIGH_WATER_BYTES`.

What may be changed: this runs for every frame; keep it to dispatch.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeAlias, cast

from meshagent.catalog.rpc import signals
from meshagent.catalog.rpc.connection import Connection
from meshagent.catalog.rpc.hello import Peer
from meshagent.catalog.rpc.reasons import Reason
from meshagent.catalog.rpc.streams import Stream
from meshagent.catalog.rpc.tls import ALPN, certificate_names, classify
from meshagent.clock import Clock, Tasks
from meshagent.errors import MeshError, NotFound, Unavailable
from meshagent.machine import CancelTimer, Command, Event, Log, SetTimer, TimerFired

__all__ = ["Handler", "Link", "Methods", "RpcMetrics"]

log = logging.getLogger("agent.rpc")

#: Above this the peer is taken not to read: room for some entries of the log on their way (1 MiB each).
HIGH_WATER_BYTES = 4 << 20
LOW_WATER_BYTES = 1 << 20
#: Gathered in one turn of the loop before it goes to the socket at once.
GATHER_BYTES = 256 << 10
#: How long a closing connection may take to send its last bytes.
LINGER_S = 1.0

#: Serves one method, or raises a MeshError: from peer and payload to the answer, or to its pieces.
Handler: TypeAlias = Callable[[Peer, bytes], Awaitable[bytes] | AsyncIterator[bytes]]
Methods: TypeAlias = Mapping[str, Handler]


class RpcMetrics(Protocol):
    """The part of `meshagent.metrics.Metrics` that is used here."""

    def incr(self, name: str, value: float = 1.0, labels: tuple[tuple[str, str], ...] = ()) -> None: ...
    def sample(self, name: str, value_ms: float) -> None: ...


class Link(asyncio.Protocol):
    """One connection. `make` builds its machine from the names of the peer's certificate (empty without TLS).

    Callbacks, all on the loop: `on_accepted(link, peer)` once, `on_closed(link)` once, at the end; `on_raft(link,
    payload)`, which may be set later.
    """

    def __init__(
        self,
        make: Callable[[frozenset[str]], Connection],
        *,
        clock: Clock,
        metrics: RpcMetrics,
        methods: Methods,
        on_accepted: Callable[[Link, Peer], None],
        on_closed: Callable[[Link], None],
        on_raft: Callable[[Link, bytes], None] | None = None,
        remote: str = "",
        number: int = 0,
        alpn: str = ALPN,
    ) -> None:
        self.remote = remote
        #: Counts the connections of whoever made this one (dialler or server): higher is newer.
        self.number = number
        self.peer: Peer | None = None
        self.reason: Reason | None = None
        self.detail = ""
        self.by_peer = False
        self.on_raft = on_raft
        self._make = make
        self._alpn = alpn
        self._machine: Connection | None = None
        self._clock = clock
        self._metrics = metrics
        self._methods = methods
        self._on_accepted = on_accepted
        self._on_closed = on_closed
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._paused = False
        self._drained: asyncio.Future[None] | None = None
        self._serving: dict[int, asyncio.Future[Any]] = {}
        self._tasks = Tasks()
        self._handed_off = False

    # -- what others ask

    @property
    def ready(self) -> bool:
        """Whether requests and messages can be sent."""
        return self._machine is not None and self._machine.ready

    def call(self, method: str, payload: bytes, timeout_s: float) -> asyncio.Future[bytes]:
        """Ask the peer; the answer, or the error it was refused with. Cancelling the future tells the peer.

        Unavailable and Timeout leave open whether it ran.
        """
        future: asyncio.Future[bytes] = self._loop.create_future()
        self._metrics.incr("client.rpc")
        if self._machine is None:
            future.set_exception(Unavailable("the connection is not ready"))
            return future
        self._take(signals.Call(future, method, payload, timeout_s))
        future.add_done_callback(self._abandon_cancelled)
        return future

    async def stream(
        self, method: str, payload: bytes, timeout_s: float, *, window: int = 0
    ) -> AsyncGenerator[bytes, None]:
        """Ask for a longer answer and give its pieces; `timeout_s` is for the first. Closing it tells the peer.

        `window`: the peer waits when so many bytes of it are on their way and unread. Without one (0) the stream is
        given up when it is not read: for pieces that something else on the connection waits behind.
        """
        stream: Stream
        on_read = (lambda size: self._take(signals.Read(stream, size))) if window else None
        stream = Stream(self._loop, window, on_read)
        self._metrics.incr("client.rpc")
        if self._machine is None:
            raise Unavailable("the connection is not ready")
        self._take(signals.Call(stream, method, payload, timeout_s, window))
        try:
            async for piece in stream:
                yield piece
        finally:
            self._take(signals.Abandon(stream))

    def send_raft(self, payload: bytes) -> bool:
        """Send a Raft message, or drop it (False) when there is no connection or the peer does not read."""
        machine = self._machine
        if machine is None or not machine.takes_raft:
            return False
        self._take(signals.SendRaft(payload))
        return True

    def close(self, reason: Reason = Reason.STOPPING, detail: str = "") -> None:
        """End the connection and say why."""
        if self._machine is not None:
            self._take(signals.Stop(reason, detail))
        elif self.reason is None:
            self._finish(reason, detail)

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast(asyncio.Transport, transport)
        transport.set_write_buffer_limits(HIGH_WATER_BYTES, LOW_WATER_BYTES)
        secure: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        if self.reason is not None:  # closed while the handshake ran
            transport.abort()
            return
        if secure is not None and secure.selected_alpn_protocol() != self._alpn:
            self._finish(Reason.ALPN, f"it offers no {self._alpn!r} over TLS")
            return
        self._machine = self._make(certificate_names(secure))
        self._take(signals.Opened())

    def data_received(self, data: bytes) -> None:
        self._take(signals.Received(bytes(data)))

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        detail = "" if error is None else str(error)
        # With TLS 1.3 a dialler learns only now that its certificate was refused.
        reason = classify(error) if isinstance(error, ssl.SSLError) and not self.ready else Reason.LOST
        self._take(signals.Lost(detail, reason))
        if self.reason is None:
            self._finish(reason, detail)
        self._wake_drained()

    def pause_writing(self) -> None:
        self._paused = True
        self._take(signals.Paused())

    def resume_writing(self) -> None:
        self._paused = False
        self._wake_drained()
        self._take(signals.Resumed())

    # -- commands

    def _take(self, event: Event) -> None:
        machine = self._machine
        if machine is None:
            return
        for command in machine.handle(event, self._clock.monotonic()):
            _ON_COMMAND[type(command)](self, command)

    def _write(self, command: signals.Write) -> None:
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(command.data)
        self._out_bytes += len(command.data)
        if self._out_bytes >= GATHER_BYTES:  # the socket must be able to say that it is full
            self._flush()

    def _flush(self) -> None:
        out, self._out = self._out, []
        self._out_bytes = 0
        if not out or self._transport is None or self._transport.is_closing():
            return
        self._transport.write(out[0] if len(out) == 1 else b"".join(out))
        machine = self._machine
        if machine is not None and machine.queued_bytes and not self._paused:
            self._take(signals.Resumed())

    def _set_timer(self, command: SetTimer) -> None:
        self._cancel_timer(command)
        delay = max(0.0, command.at - self._clock.monotonic())
        self._timers[command.name] = self._loop.call_later(delay, self._fire, command.name)

    def _cancel_timer(self, command: SetTimer | CancelTimer) -> None:
        if (timer := self._timers.pop(command.name, None)) is not None:
            timer.cancel()

    def _fire(self, name: str) -> None:
        self._timers.pop(name, None)
        self._take(TimerFired(name))

    def _log(self, command: Log) -> None:
        log.log(command.level, "%s: peer=%s", command.message, self.remote)

    def _accepted(self, command: signals.Accepted) -> None:
        self.peer = command.peer
        self._on_accepted(self, command.peer)

    def _close(self, command: signals.Close) -> None:
        self._finish(command.reason, command.detail, by_peer=command.by_peer)

    def _finish(self, reason: Reason, detail: str, *, by_peer: bool = False) -> None:
        self.reason, self.detail, self.by_peer = reason, detail, by_peer
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        transport = self._transport
        if transport is not None:
            self._flush()
            transport.close()
            if reason in {Reason.SILENT, Reason.SLOW, Reason.LOST}:
                transport.abort()  # nobody reads the rest
            else:
                self._loop.call_later(LINGER_S, transport.abort)
        self._wake_drained()
        self._on_closed(self)

    def _answered(self, command: signals.Answered) -> None:
        if not command.token.done():
            command.token.set_result(command.payload)

    def _failed(self, command: signals.Failed) -> None:
        self._metrics.incr("client.rpc.failed")
        if not command.token.done():
            command.token.set_exception(command.error)

    def _streamed(self, command: signals.Streamed) -> None:
        if not command.token.put(command.payload):
            self._take(signals.Abandon(command.token))

    def _stream_ended(self, command: signals.StreamEnded) -> None:
        command.token.end()

    def _abandon_cancelled(self, future: asyncio.Future[bytes]) -> None:
        if future.cancelled():
            self._take(signals.Abandon(future))

    def _raft_arrived(self, command: signals.RaftArrived) -> None:
        if not self._handed_off:
            self._handed_off = True
            self._metrics.incr("rpc.raft_handoff")
        if self.on_raft is not None:
            self.on_raft(self, command.payload)

    # -- serving

    def _arrived(self, command: signals.Arrived) -> None:
        id = command.id
        self._metrics.incr("rpc.request")
        handler = self._methods.get(command.method)
        if handler is None or self.peer is None:
            self._refuse(id, NotFound(f"this server has no method {command.method[:64]!r}"))
            return
        try:
            answer = handler(self.peer, command.payload)
        except MeshError as error:
            self._refuse(id, error)
            return
        future: asyncio.Future[Any]
        if asyncio.isfuture(answer):
            future = answer
        elif inspect.isawaitable(answer):
            future = self._tasks.start(_result(answer), name=f"rpc {command.method}")
            if inspect.iscoroutine(answer):
                future.add_done_callback(lambda _: answer.close())  # it may be given up before it has begun
        else:
            future = self._tasks.start(self._send_stream(id, answer), name=f"rpc {command.method}")
        self._serving[id] = future
        future.add_done_callback(lambda done: self._served(id, done))

    def _served(self, id: int, future: asyncio.Future[Any]) -> None:
        self._serving.pop(id, None)
        if future.cancelled():
            self._refuse(id, Unavailable("the request was given up"))
        elif (error := future.exception()) is not None:
            self._refuse(id, error)
        elif isinstance(answer := future.result(), MeshError):
            self._refuse(id, answer)
        elif answer is not None:
            self._take(signals.Reply(id, answer))

    def _refuse(self, id: int, error: BaseException) -> None:
        self._metrics.incr("rpc.request_error")
        self._take(signals.Refuse(id, error))

    async def _send_stream(self, id: int, pieces: AsyncIterator[bytes]) -> MeshError | None:
        try:
            async for piece in pieces:
                while (self._paused or self._is_spent(id)) and self.reason is None:
                    self._drained = self._drained or self._loop.create_future()
                    await asyncio.shield(self._drained)
                if self._transport is None or self._transport.is_closing():
                    # What is written now is thrown away, so nothing holds this up: the loop must be able to say that
                    # the connection is lost.
                    await self._clock.sleep(0)
                if self.reason is not None:
                    return Unavailable("the connection has ended")
                self._take(signals.Piece(id, piece))
        except MeshError as error:
            return error
        finally:
            if isinstance(pieces, AsyncGenerator):
                await pieces.aclose()  # not when the collector comes round to it
        self._take(signals.LastPiece(id))
        return None

    def _is_spent(self, id: int) -> bool:
        return self._machine is not None and self._machine.is_spent(id)

    def _credited(self, _: signals.Credited) -> None:
        self._wake_drained()

    def _wake_drained(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None

    def _cancelled(self, command: signals.Cancelled) -> None:
        if (future := self._serving.pop(command.id, None)) is not None:
            future.cancel()


async def _result(answer: Awaitable[bytes]) -> bytes | MeshError:
    """What a handler gives. A refusal is an answer, not a task that failed."""
    try:
        return await answer
    except MeshError as error:
        return error


_ON_COMMAND: dict[type[Command], Callable[[Link, Any], None]] = {
    signals.Write: Link._write,
    signals.Close: Link._close,
    signals.Accepted: Link._accepted,
    signals.Arrived: Link._arrived,
    signals.Cancelled: Link._cancelled,
    signals.Credited: Link._credited,
    signals.Answered: Link._answered,
    signals.Failed: Link._failed,
    signals.Streamed: Link._streamed,
    signals.StreamEnded: Link._stream_ended,
    signals.RaftArrived: Link._raft_arrived,
    SetTimer: Link._set_timer,
    CancelTimer: Link._cancel_timer,
    Log: Link._log,
}
