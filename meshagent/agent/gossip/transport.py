"""I/O edge: runs a gossip machine (memberlist, or serf on it) on UDP and TCP sockets of one port.

Source: surface rows S1, S16; golden README section 3.3; RFC 8085 (UDP usage), RFC 1122 4.2.2.13 (TCP close). The
machine decides; here is only how bytes get in and out and who waits for what. UDP is read straight from the socket,
as many datagrams in one turn of the loop as wait (at most `_TURN`): the hot path of a large pool makes no objects but
events.

What peers can make us keep: `MAX_STREAMS` streams at once with `MAX_HELD_BYTES` in all, each at most
`tcp_timeout_s` long; more are closed and counted. What may be changed: limits; adding a command is a row in `_DO`.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from typing import Any, Protocol

from meshagent.agent.checks.dial import describe
from meshagent.agent.gossip import signals
from meshagent.agent.gossip.drops import Drop, Dropped, reason_of
from meshagent.agent.gossip.node import Address, show_address
from meshagent.agent.gossip.streams import MAX_STREAM_BYTES, StreamCodec, StreamMessage, StreamReader
from meshagent.clock import Clock, Tasks
from meshagent.errors import InternalError, RemoteProtocolError, Timeout
from meshagent.listening import cannot_listen
from meshagent.machine import CancelTimer, Command, Event, Log, SetTimer, TimerFired

__all__ = ["GossipMachine", "GossipTransport"]

log = logging.getLogger("agent.gossip")

#: Streams of peers that are read at once (memberlist: 128 push/pulls, the last is refused).
MAX_STREAMS = 127
#: Bytes of all streams of peers that are not whole yet: three of the largest there can be.
MAX_HELD_BYTES = 3 * MAX_STREAM_BYTES
#: From here on a message is taken apart in a thread: LZW in Python takes a second for some megabytes.
_HEAVY_BYTES = 1 << 20
_TURN = 64  # datagrams read in one turn, so that other work of the loop is not starved
_DATAGRAM_BYTES = 65536
_CHUNK_BYTES = 65536
#: What memberlist asks of the kernel: a burst of a large pool fits.
_UDP_BUFFER_BYTES = 2 << 20
_BIND_ATTEMPTS = 10
#: A timer that fires so much later than it should tells of a process that stood still.
_LATE_S = 0.1


class GossipMachine(Protocol):
    """`swim.Memberlist`, or a machine on top of it."""

    def handle(self, event: Event, now: float) -> list[Command]: ...

    def take_commands(self) -> list[Command]: ...

    def start(self, now: float) -> None: ...

    def join(self, address: Address, now: float) -> int: ...

    def leave(self, now: float) -> None: ...


class GossipTransport:
    """One pool's sockets. `on_command` gets what the machine asks for beyond sockets, timers and logs.

    `option` names the configuration's option of the address, for errors; `read_timeout_s` bounds a peer's stream.
    """

    def __init__(
        self,
        machine: GossipMachine,
        streams: StreamCodec,
        clock: Clock,
        *,
        on_command: Callable[[Command], None] | None = None,
        option: str = "bind_addr",
        read_timeout_s: float = 10.0,
        logger: logging.Logger = log,
    ) -> None:
        self.machine = machine
        self._streams = streams
        self._clock = clock
        self._on_command = on_command or (lambda command: None)
        self._option = option
        self._read_timeout_s = read_timeout_s
        self._log = logger
        self._tasks = Tasks()
        self._timers: dict[str, tuple[asyncio.TimerHandle, float]] = {}
        self._writers: dict[int, asyncio.Future[bytes | None]] = {}
        self._stream_count = 0
        self._held_bytes = 0
        self._joins: dict[int, asyncio.Future[str | None]] = {}
        self._left: asyncio.Event = asyncio.Event()
        self._udp: socket.socket | None = None
        self._tcp: socket.socket | None = None
        self._closed = False

    # -- life

    def listen(self, host: str, port: int) -> tuple[str, int]:
        """Bind UDP and TCP of one port (0: any that is free for both); returns what was bound. Raises ConfigError."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        for attempt in range(_BIND_ATTEMPTS):
            tcp = socket.socket(family, socket.SOCK_STREAM)
            udp = socket.socket(family, socket.SOCK_DGRAM)
            try:
                tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6 and host != "::":
                    tcp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                    udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                tcp.bind((host, port))
                udp.bind((host, tcp.getsockname()[1]))
                tcp.listen(MAX_STREAMS)
            except OSError as error:
                tcp.close()
                udp.close()
                if port == 0 and error.errno == errno.EADDRINUSE and attempt + 1 < _BIND_ATTEMPTS:
                    continue
                raise cannot_listen(self._option, f"{host}:{port}", error) from None
            tcp.setblocking(False)
            udp.setblocking(False)
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _UDP_BUFFER_BYTES)
            self._tcp, self._udp = tcp, udp
            break
        assert self._tcp is not None  # noqa: S101 - the last attempt raises
        bound = self._tcp.getsockname()
        return (str(bound[0]), int(bound[1]))

    def start(self) -> None:
        """Begin to listen and to gossip."""
        loop = asyncio.get_running_loop()
        if self._udp is None or self._tcp is None:
            raise InternalError("gossip: started before it listens")
        loop.add_reader(self._udp.fileno(), self._readable)
        self._tasks.start(self._accept(self._tcp), name="gossip accept")
        self.machine.start(self._clock.monotonic())
        self.flush()

    async def close(self) -> None:
        """Stop at once, without a word; see `leave`."""
        if self._closed:
            return
        self._closed = True
        for timer, _ in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if self._udp is not None:
            asyncio.get_running_loop().remove_reader(self._udp.fileno())
            self._udp.close()
        await self._tasks.cancel()
        if self._tcp is not None:
            self._tcp.close()
        for waiting in self._joins.values():
            if not waiting.done():
                waiting.set_result("gossip is stopping")

    # -- what others ask of it

    async def join(self, address: Address) -> None:
        """A joining push/pull with that address. Raises InternalError: why it failed."""
        number = self.machine.join(address, self._clock.monotonic())
        waiting: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._joins[number] = waiting
        self.flush()
        try:
            error = await waiting
        finally:
            self._joins.pop(number, None)
        if error is not None:
            raise InternalError(error)

    async def leave(self, timeout_s: float) -> None:
        """Tell the pool that we go. Raises Timeout if that could not be sent often enough in time."""
        self.machine.leave(self._clock.monotonic())
        self.flush()
        try:
            async with asyncio.timeout(timeout_s):
                await self._left.wait()
        except TimeoutError:
            raise Timeout("gossip: the leave was not told to all in time") from None

    def flush(self) -> None:
        """Do what calls of the machine outside of events asked for."""
        self._do(self.machine.take_commands())

    # -- UDP

    def _readable(self) -> None:
        udp, machine, clock = self._udp, self.machine, self._clock
        if udp is None:
            return
        for _ in range(_TURN):
            try:
                data, source = udp.recvfrom(_DATAGRAM_BYTES)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:  # an ICMP error of an earlier send
                self._log.debug("UDP: %s", error)
                continue
            commands = machine.handle(signals.PacketRead(data, (source[0], source[1])), clock.monotonic())
            if commands:
                self._do(commands)
            if self._closed:
                return

    def _send_packet(self, command: signals.SendPacket) -> None:
        if self._udp is None or self._closed:
            return
        try:
            self._udp.sendto(command.data, command.address)
        except (BlockingIOError, InterruptedError):
            self._log.debug("UDP: the send buffer is full, a packet is lost")
        except OSError as error:
            self._log.debug("UDP to %s: %s", command.address, error)

    # -- commands

    def _take(self, event: Event) -> None:
        if not self._closed:
            self._do(self.machine.handle(event, self._clock.monotonic()))

    def _do(self, commands: list[Command]) -> None:
        for command in commands:
            action = _DO.get(type(command))
            if action is None:
                self._on_command(command)
            else:
                action(self, command)

    def _set_timer(self, command: SetTimer) -> None:
        self._cancel_timer(command)
        if not self._closed:
            loop = asyncio.get_running_loop()
            delay = max(0.0, command.at - self._clock.monotonic())
            # uvloop's handle of a timer that is due at once cannot say when.
            self._timers[command.name] = (loop.call_later(delay, self._fire, command.name), loop.time() + delay)

    def _cancel_timer(self, command: SetTimer | CancelTimer) -> None:
        if (timer := self._timers.pop(command.name, None)) is not None:
            timer[0].cancel()

    def _fire(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None and asyncio.get_running_loop().time() - timer[1] > _LATE_S:
            # We were paused, or busy: the acks that came meanwhile count before the timers that say there were none.
            for _ in range(_UDP_BUFFER_BYTES // _DATAGRAM_BYTES):
                self._readable()
        self._take(TimerFired(name))

    def _write_log(self, command: Log) -> None:
        self._log.log(command.level, "%s", command.message)

    def _join_ended(self, command: signals.JoinEnded) -> None:
        waiting = self._joins.get(command.join)
        if waiting is not None and not waiting.done():
            waiting.set_result(command.error)
        self._on_command(command)

    def _leave_sent(self, command: signals.LeaveSent) -> None:
        self._left.set()
        self._on_command(command)

    # -- streams that we dial

    def _dial(self, command: signals.Dial) -> None:
        if not self._closed:
            self._tasks.start(self._dialled(command), name=f"gossip dial {command.dial}")

    async def _dialled(self, command: signals.Dial) -> None:
        detail = ""
        message: StreamMessage | None = None
        try:
            async with asyncio.timeout(max(0.0, command.deadline - self._clock.monotonic())):
                message = await self._talk(command)
        except TimeoutError:
            detail = f"dial tcp {show_address(command.address)}: i/o timeout"
        except OSError as error:
            detail = f"dial tcp {show_address(command.address)}: connect: {describe(error)}"
        except RemoteProtocolError as error:
            detail = str(error)
        self._take(signals.DialFailed(command.dial, detail) if detail else signals.DialRead(command.dial, message))

    async def _talk(self, command: signals.Dial) -> StreamMessage | None:
        reader, writer = await asyncio.open_connection(*command.address)
        try:
            writer.write(command.data)
            await writer.drain()
            if not command.answered:
                writer.write_eof()
                return None
            return await _read_message(reader, self._streams.reader(dialled=False))
        finally:
            writer.close()

    # -- streams that peers dial

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, source = await loop.sock_accept(listener)
            except OSError as error:
                self._log.warning("TCP accept: %s", error)
                await self._clock.sleep(0.1)  # out of file descriptors: do not spin
                continue
            self._stream_count += 1
            stream = self._stream_count
            if len(self._writers) >= MAX_STREAMS:
                connection.close()
                self._take(signals.StreamRefused(stream, Drop.BUSY, "too many streams", (source[0], source[1])))
                continue
            self._writers[stream] = loop.create_future()
            self._tasks.start(self._served(stream, connection, (source[0], source[1])), name=f"gossip stream {stream}")

    async def _served(self, stream: int, connection: socket.socket, source: Address) -> None:
        reply = self._writers[stream]
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(self._read_timeout_s):
                reader, writer = await asyncio.open_connection(sock=connection)
                try:
                    message = await self._read_peer(reader)
                except RemoteProtocolError as error:
                    self._take(signals.StreamRefused(stream, reason_of(error), str(error), source))
                else:
                    self._take(signals.StreamRead(stream, message, source))
                data = await reply
                if data is not None:
                    writer.write(data)
                    await writer.drain()
                    # Closing with bytes unread would reset the connection and could cost the peer our answer.
                    writer.write_eof()
                    while await reader.read(_CHUNK_BYTES):
                        pass
        except (TimeoutError, OSError) as error:
            self._log.debug("stream from %s: %s", source, str(error) or type(error).__name__)
        finally:
            self._writers.pop(stream, None)
            if writer is not None:
                writer.close()
            else:
                connection.close()

    async def _read_peer(self, reader: asyncio.StreamReader) -> StreamMessage:
        """One message of a peer, within what all of them together may make us keep."""
        held = 0

        def hold(size: int) -> None:
            nonlocal held
            held += size
            self._held_bytes += size
            if self._held_bytes > MAX_HELD_BYTES:
                raise Dropped(Drop.BUSY, "too many bytes of unfinished streams")

        try:
            return await _read_message(reader, self._streams.reader(dialled=True), hold)
        finally:
            self._held_bytes -= held

    def _reply(self, command: signals.Reply) -> None:
        self._answer(command.stream, command.data)

    def _hang_up(self, command: signals.Closed) -> None:
        self._answer(command.stream, None)

    def _answer(self, stream: int, data: bytes | None) -> None:
        waiting = self._writers.get(stream)
        if waiting is not None and not waiting.done():
            waiting.set_result(data)


async def _read_message(
    reader: asyncio.StreamReader, parser: StreamReader, hold: Callable[[int], None] = lambda size: None
) -> StreamMessage:
    """One message. Raises RemoteProtocolError: it is none, the peer closed before its end, or `hold` refused."""
    while data := await reader.read(_CHUNK_BYTES):
        hold(len(data))
        if parser.received < _HEAVY_BYTES:
            message = parser.feed(data)
        else:
            message = await asyncio.to_thread(parser.feed, data)
        if message is not None:
            return message
    raise RemoteProtocolError("closed before a whole message came")


_DO: dict[type[Command], Callable[[GossipTransport, Any], None]] = {
    signals.SendPacket: GossipTransport._send_packet,
    signals.Dial: GossipTransport._dial,
    signals.Reply: GossipTransport._reply,
    signals.Closed: GossipTransport._hang_up,
    signals.JoinEnded: GossipTransport._join_ended,
    signals.LeaveSent: GossipTransport._leave_sent,
    SetTimer: GossipTransport._set_timer,
    CancelTimer: GossipTransport._cancel_timer,
    Log: GossipTransport._write_log,
}
