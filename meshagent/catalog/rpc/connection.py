"""One connection between agents, without I/O: hello, requests and answers, streams, Raft messages, pings.

Source: ours; the shape is h11's (events in, commands out, the clock an argument). Either side may ask and answer once
both hellos are accepted. The listener says nothing to one whose hello it has not accepted, except why.

Bounds, so that no peer can make us grow: one unfinished frame, `max_in_flight` requests each way and
`max_in_flight_bytes` of them being served (more are answered with an error, never read less: Raft's answers come on
the same connection), `max_queued_bytes` waiting for a peer that does not read (then it is closed). Raft messages are
dropped rather than queued. A stream that was asked for with a window stops when so much of it is unread (`is_spent`).

What may be changed: a new frame is a row in `_ON_FRAME`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import Any

from meshagent.catalog.rpc import frames, signals
from meshagent.catalog.rpc.calls import Calls
from meshagent.catalog.rpc.error_codes import code_and_message, error_of
from meshagent.catalog.rpc.frames import Frame, FrameReader
from meshagent.catalog.rpc.hello import SERVER, WINDOWS_SINCE, Identity, Peer, judge
from meshagent.catalog.rpc.outbox import Outbox
from meshagent.catalog.rpc.reasons import Reason
from meshagent.catalog.rpc.served import Served
from meshagent.catalog.rpc.settings import RpcSettings
from meshagent.errors import LocalProtocolError, RemoteProtocolError, Timeout, TooLarge, Unavailable
from meshagent.machine import CancelTimer, Command, Event, Log, SetTimer, TimerFired

__all__ = ["Connection"]

HANDSHAKE = "handshake"
ALIVE = "alive"
CALLS = "calls"


class Connection:
    """A machine for one connection. `dialled`: we opened it, and `epoch` numbers it.

    `names`: the names of the peer's certificate when a server must prove that it is one; None: it need not.
    `only_node`: as `hello.judge`.
    """

    def __init__(
        self,
        own: Identity,
        settings: RpcSettings,
        *,
        dialled: bool,
        epoch: int = 0,
        expected_node_id: str = "",
        names: Collection[str] | None = None,
        domain: str = "consul",
        only_node: str | None = None,
    ) -> None:
        self.peer: Peer | None = None
        self.closed = False
        self._own = own
        self._settings = settings
        self._dialled = dialled
        self._epoch = epoch
        self._expected_node_id = expected_node_id
        self._names = names
        self._domain = domain
        self._only_node = only_node
        self._reader = FrameReader(frames.MAX_HELLO_BYTES)
        self._out: list[Command] = []
        self._outbox = Outbox(settings.max_queued_bytes)
        self._calls = Calls()
        self._calls_at: float | None = None
        self._served = Served(settings.max_in_flight, settings.max_in_flight_bytes)
        self._greeted = False
        self._heard = 0.0
        self._pinged: float | None = None
        self._nonce = 0
        self._now = 0.0

    # -- what the edge asks

    @property
    def ready(self) -> bool:
        """Whether both sides have accepted each other and the connection stands."""
        return self.peer is not None and not self.closed

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait for the peer to read."""
        return self._outbox.bytes

    @property
    def takes_raft(self) -> bool:
        """Whether a Raft message would be sent now, not dropped."""
        return self.ready and self._outbox.open

    def is_spent(self, id: int) -> bool:
        """Whether no more of the stream of the peer's request `id` may leave before some of it was read."""
        return self._served.is_spent(id)

    def handle(self, event: Event, now: float) -> list[Command]:
        """Take one event at monotonic second `now`; what is to be done, in order. Nothing after `Close`."""
        self._now = now
        if not self.closed:
            self._out = []
            _ON_EVENT[type(event)](self, event)
            return self._out
        if isinstance(event, signals.Call):
            return [signals.Failed(event.token, Unavailable("the connection is closed"))]
        return []

    # -- the connection

    def _on_opened(self, _: signals.Opened) -> None:
        self._heard = self._now
        self._out.append(SetTimer(HANDSHAKE, self._now + self._settings.handshake_timeout_s))
        if self._dialled:
            self._greet()

    def _greet(self) -> None:
        self._greeted = True
        self._out.append(signals.Write(frames.PREFACE + frames.encode(self._own.hello(self._epoch))))

    def _on_received(self, event: signals.Received) -> None:
        self._heard = self._now
        self._pinged = None
        try:
            for frame in self._reader.feed(event.data):
                if self.peer is None:
                    self._first(frame)
                else:
                    _ON_FRAME[type(frame)](self, frame)
                if self.closed:
                    return
        except RemoteProtocolError as error:
            self._close(Reason.GARBAGE, str(error))

    def _first(self, frame: Frame) -> None:
        if isinstance(frame, frames.Goodbye):
            self._on_goodbye(frame)
            return
        if not isinstance(frame, frames.Hello):
            raise RemoteProtocolError("the first frame is not a hello")
        verdict = judge(
            frame,
            self._own,
            epoch=self._epoch,
            expected_node_id=self._expected_node_id,
            names=self._names,
            domain=self._domain,
            only_node=self._only_node,
        )
        if not isinstance(verdict, Peer):
            self._close(*verdict)
            return
        if not self._greeted:
            self._greet()
        self.peer = verdict
        self._reader.limit = frames.MAX_FRAME_BYTES if verdict.role == SERVER else frames.MAX_CLIENT_FRAME_BYTES
        self._out += (
            CancelTimer(HANDSHAKE),
            SetTimer(ALIVE, self._now + self._settings.ping_after_s),
            signals.Accepted(verdict),
        )

    def _on_lost(self, event: signals.Lost) -> None:
        self._close(event.reason, event.detail, tell=False)

    def _on_stop(self, event: signals.Stop) -> None:
        self._close(event.reason, event.detail)

    def _on_goodbye(self, frame: frames.Goodbye) -> None:
        reason = Reason(frame.reason) if frame.reason in list(Reason) else Reason.LOST
        self._close(reason, frame.detail[: frames.MAX_ERROR_CHARS], tell=False, by_peer=True)

    def _close(self, reason: Reason, detail: str, *, tell: bool = True, by_peer: bool = False) -> None:
        """The end. `tell`: say why, unless the stream is none of ours or nobody reads it."""
        self.closed = True
        if tell and reason not in {Reason.SLOW, Reason.SILENT}:
            preface = b"" if self._greeted else frames.PREFACE
            self._out.append(signals.Write(preface + frames.encode(frames.Goodbye(reason, detail))))
        self._out += (CancelTimer(HANDSHAKE), CancelTimer(ALIVE), CancelTimer(CALLS))
        self._out += [signals.Cancelled(id) for id in self._served]
        self._out += [
            signals.Failed(token, Unavailable(f"the connection ended: {reason}")) for token in self._calls.clear()
        ]
        self._out.append(signals.Close(reason, detail, by_peer))
        self._served.clear()
        self._outbox.clear()

    # -- time

    def _on_timer(self, event: TimerFired) -> None:
        if event.name == HANDSHAKE:
            self._close(Reason.HANDSHAKE_TIMEOUT, f"no hello within {self._settings.handshake_timeout_s:g} s")
        elif event.name == ALIVE:
            self._check_life()
        elif event.name == CALLS:
            self._expire_calls()

    def _check_life(self) -> None:
        """Ping a silent peer. Silence counts from our ping: nobody is blamed for a pause of our own process."""
        settings = self._settings
        if self._pinged is not None:
            if self._now >= self._pinged + settings.ping_timeout_s:
                self._close(Reason.SILENT, f"no answer to a ping within {settings.ping_timeout_s:g} s")
                return
            self._out.append(SetTimer(ALIVE, self._pinged + settings.ping_timeout_s))
            return
        due = self._heard + settings.ping_after_s
        if self._now >= due:
            self._pinged = self._now
            self._nonce += 1
            self._send(frames.encode(frames.Ping(self._nonce)))
            due = self._now + settings.ping_timeout_s
        self._out.append(SetTimer(ALIVE, due))

    def _expire_calls(self) -> None:
        for id in self._calls.expired(self._now):
            self._out.append(signals.Failed(self._calls.finish(id), Timeout("the server did not answer in time")))
            self._send(frames.encode(frames.Cancel(id)))
            if self.closed:
                return
        self._calls_at = self._calls.next_deadline()
        if self._calls_at is not None:
            self._out.append(SetTimer(CALLS, self._calls_at))

    # -- sending

    def _send(self, data: bytes) -> None:
        if self._outbox.open:
            self._out.append(signals.Write(data))
        elif not self._outbox.put(data):
            self._close(Reason.SLOW, f"{self._outbox.bytes} bytes wait for it to read")

    def _on_paused(self, _: signals.Paused) -> None:
        self._outbox.paused = True

    def _on_resumed(self, _: signals.Resumed) -> None:
        self._outbox.paused = False
        if burst := self._outbox.burst():
            self._out.append(signals.Write(burst))

    def _on_send_raft(self, event: signals.SendRaft) -> None:
        if self.takes_raft:
            try:
                self._out.append(signals.Write(frames.encode(frames.RaftMessage(event.payload))))
            except LocalProtocolError as error:
                self._out.append(Log(logging.ERROR, f"a Raft message was not sent: {error}"))

    # -- our requests

    def _on_call(self, event: signals.Call) -> None:
        if not self.ready:
            self._out.append(signals.Failed(event.token, Unavailable("the connection is not ready")))
            return
        if len(self._calls) >= self._settings.max_in_flight:
            self._out.append(signals.Failed(event.token, Unavailable("too many requests wait for this server")))
            return
        id = self._calls.next_id()
        window = event.window if self.peer is not None and self.peer.version >= WINDOWS_SINCE else 0
        try:
            data = frames.encode(frames.Request(id, event.method, int(event.timeout_s * 1000), event.payload, window))
        except LocalProtocolError as error:
            self._out.append(signals.Failed(event.token, TooLarge(str(error))))
            return
        deadline = self._now + event.timeout_s
        self._calls.open(id, event.token, deadline)
        if self._calls_at is None or deadline < self._calls_at:
            self._calls_at = deadline
            self._out.append(SetTimer(CALLS, deadline))
        self._send(data)

    def _on_abandon(self, event: signals.Abandon) -> None:
        id = self._calls.id(event.token)
        if id is not None:
            self._calls.finish(id)
            self._send(frames.encode(frames.Cancel(id)))

    def _on_read(self, event: signals.Read) -> None:
        id = self._calls.id(event.token)
        if id is not None and self.peer is not None and self.peer.version >= WINDOWS_SINCE:
            self._send(frames.encode(frames.Credit(id, event.size)))

    def _on_response(self, frame: frames.Response) -> None:
        if (token := self._calls.finish(frame.id)) is not None:
            self._out.append(signals.Answered(token, frame.payload))

    def _on_error(self, frame: frames.Error) -> None:
        if (token := self._calls.finish(frame.id)) is not None:
            self._out.append(signals.Failed(token, error_of(frame.code, frame.message)))

    def _on_stream_data(self, frame: frames.StreamData) -> None:
        if (token := self._calls.token(frame.id)) is not None:
            self._calls.keep(frame.id)  # from here on pings watch over it
            self._out.append(signals.Streamed(token, frame.payload))

    def _on_stream_end(self, frame: frames.StreamEnd) -> None:
        if (token := self._calls.finish(frame.id)) is not None:
            self._out.append(signals.StreamEnded(token))

    # -- the peer's requests

    def _on_request(self, frame: frames.Request) -> None:
        if frame.id in self._served:
            raise RemoteProtocolError(f"request {frame.id} is already open")
        if self._served.open(frame.id, len(frame.payload), frame.window):
            self._out.append(signals.Arrived(frame.id, frame.method, frame.payload, frame.timeout_ms / 1000))
        else:
            self._send_error(frame.id, Unavailable("too many requests of this agent are being served"))

    def _on_cancel(self, frame: frames.Cancel) -> None:
        if self._served.close(frame.id):
            self._out.append(signals.Cancelled(frame.id))

    def _on_credit(self, frame: frames.Credit) -> None:
        if self._served.read(frame.id, frame.size):
            self._out.append(signals.Credited())

    def _on_reply(self, event: signals.Reply) -> None:
        if self._served.close(event.id):
            self._send_large(event.id, frames.Response(event.id, event.payload))

    def _on_refuse(self, event: signals.Refuse) -> None:
        if self._served.close(event.id):
            self._send_error(event.id, event.error)

    def _on_piece(self, event: signals.Piece) -> None:
        self._served.leaves(event.id, event.payload)
        if event.id in self._served and not self._send_large(event.id, frames.StreamData(event.id, event.payload)):
            self._served.close(event.id)
            self._out.append(signals.Cancelled(event.id))

    def _on_last_piece(self, event: signals.LastPiece) -> None:
        if self._served.close(event.id):
            self._send(frames.encode(frames.StreamEnd(event.id)))

    def _send_large(self, id: int, frame: Frame) -> bool:
        try:
            data = frames.encode(frame)
        except LocalProtocolError as error:
            self._send_error(id, TooLarge(f"the answer is too large: {error}"))
            return False
        self._send(data)
        return True

    def _send_error(self, id: int, error: BaseException) -> None:
        self._send(frames.encode(frames.Error(id, *code_and_message(error))))

    # -- the rest

    def _on_raft(self, frame: frames.RaftMessage) -> None:
        if self.peer is None or self.peer.role != SERVER:
            self._close(Reason.NOT_A_SERVER, "it sends Raft messages and is no server")
            return
        self._out.append(signals.RaftArrived(frame.payload))

    def _on_ping(self, frame: frames.Ping) -> None:
        self._send(frames.encode(frames.Pong(frame.nonce)))

    def _on_pong(self, frame: frames.Pong) -> None:
        """It is alive: that anything came in is already noted."""

    def _on_second_hello(self, _: frames.Hello) -> None:
        raise RemoteProtocolError("a second hello")


_ON_FRAME: dict[type, Callable[[Connection, Any], None]] = {
    frames.Hello: Connection._on_second_hello,
    frames.Request: Connection._on_request,
    frames.Response: Connection._on_response,
    frames.Error: Connection._on_error,
    frames.Cancel: Connection._on_cancel,
    frames.StreamData: Connection._on_stream_data,
    frames.StreamEnd: Connection._on_stream_end,
    frames.RaftMessage: Connection._on_raft,
    frames.Ping: Connection._on_ping,
    frames.Pong: Connection._on_pong,
    frames.Goodbye: Connection._on_goodbye,
    frames.Credit: Connection._on_credit,
}

_ON_EVENT: dict[type, Callable[[Connection, Any], None]] = {
    signals.Opened: Connection._on_opened,
    signals.Received: Connection._on_received,
    signals.Lost: Connection._on_lost,
    signals.Stop: Connection._on_stop,
    TimerFired: Connection._on_timer,
    signals.Paused: Connection._on_paused,
    signals.Resumed: Connection._on_resumed,
    signals.SendRaft: Connection._on_send_raft,
    signals.Call: Connection._on_call,
    signals.Abandon: Connection._on_abandon,
    signals.Read: Connection._on_read,
    signals.Reply: Connection._on_reply,
    signals.Refuse: Connection._on_refuse,
    signals.Piece: Connection._on_piece,
    signals.LastPiece: Connection._on_last_piece,
}
