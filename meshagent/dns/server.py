"""I/O edge: the DNS server's sockets, UDP and TCP.

Source: surface rows D20-D34, G11 (`client_addr` may list several addresses), G42; RFC 1035 section 4.2.

The loop over datagrams is the hottest code of this room: for a cached answer it does one look-up, one `next` and one
concatenation, without calling anything of ours. A change here comes with a run of bench/dns.py.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from meshagent.catalog.log import ServingLog
from meshagent.catalog.store import Store
from meshagent.catalog.watch import Watches
from meshagent.clock import Clock, Tasks
from meshagent.dns.gate import Gate
from meshagent.dns.recursor import parse_recursor
from meshagent.dns.responder import Elsewhere, Responder
from meshagent.dns.settings import DnsSettings
from meshagent.dns.tcp import Connection, Connections
from meshagent.dns.telemetry import MetricsSink, Telemetry
from meshagent.dns.upstream import Upstream
from meshagent.dns.view import NamesView, NotYet
from meshagent.dns.wire import NOTIMP, SERVFAIL
from meshagent.errors import ConfigError, MeshError
from meshagent.listening import cannot_listen

__all__ = ["DnsServer"]

log = logging.getLogger("agent.dns")

#: Datagrams answered before the loop gets to anything else.
_BATCH: Final = 64
#: Longer queries are cut, and then malformed; real ones stay below 512.
_MAX_DATAGRAM: Final = 4096
_RECEIVE_BUFFER: Final = 4 * 1024 * 1024
_BACKLOG: Final = 256
_LOG_EVERY_S: Final = 10.0
_SWEEP_S: Final = 1.0
#: While there are none.
_IDLE_SWEEP_S: Final = 5.0
#: How often one query is asked again of a view that has not all of it yet.
_MAX_ROUNDS: Final = 8

Address = tuple[str, int]


class DnsServer:
    """Answers DNS from a store, or from another `view`.

    `rng` orders answers; ids of forwarded queries come from the operating system's generator.
    """

    def __init__(
        self,
        store: Store,
        settings: DnsSettings,
        clock: Clock,
        rng: random.Random,
        metrics: MetricsSink | None = None,
        datacenter: str = "dc1",
        node_name: str = "",
        view: NamesView | None = None,
        serving: ServingLog | None = None,
        elsewhere: Callable[[str], NamesView] | None = None,
    ) -> None:
        _check(settings)
        self._clock = clock
        self._monotonic = clock.monotonic
        gate = Gate(serving, settings) if serving is not None else None
        self._responder = Responder(store, settings, clock, rng, datacenter, node_name, view, gate, elsewhere)
        self._upstream = Upstream(settings, clock, random.SystemRandom())
        self._telemetry = Telemetry(metrics, node_name)
        self._tasks = Tasks()
        self._connections = Connections(
            self._responder, self._answer, self._outside, clock.monotonic, self._telemetry.answers
        )
        self._udp: list[socket.socket] = []
        self._tcp: list[asyncio.Server] = []
        self._sweeper: asyncio.TimerHandle | None = None
        self._logged_at = float("-inf")
        self._logged_malformed = 0
        self._counted_reverse = 0
        self.addresses: list[Address] = []
        """Where it listens, after `start`."""

    @property
    def watches(self) -> Watches:
        """What tells of changes of what answers were made of."""
        return self._responder.watches

    @property
    def answered(self) -> int:
        """Queries answered from here since the start, without those that recursors answered."""
        return self._telemetry.answered

    async def start(self, addresses: Sequence[Address]) -> None:
        """Listen on all `addresses`, UDP and TCP alike; port 0 takes any free one.

        Raises:
            ConfigError: an address cannot be listened on.
        """
        loop = asyncio.get_running_loop()
        try:
            for host, port in addresses:
                # TCP first: it refuses a port that is taken, where UDP would share it silently.
                stream = _bound(host, port, socket.SOCK_STREAM)
                port = stream.getsockname()[1]
                server = await loop.create_server(partial(Connection, self._connections), sock=stream, backlog=_BACKLOG)
                self._tcp.append(server)
                datagrams = _bound(host, port, socket.SOCK_DGRAM)
                self._udp.append(datagrams)
                loop.add_reader(datagrams.fileno(), self._reader(datagrams))
                self.addresses.append((host, port))
        except BaseException:
            await self.stop()
            raise
        self._sweeper = loop.call_later(_SWEEP_S, self._sweep)

    async def stop(self) -> None:
        """Close all sockets and forget what is under way."""
        loop = asyncio.get_running_loop()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for datagrams in self._udp:
            loop.remove_reader(datagrams.fileno())
            datagrams.close()
        for server in self._tcp:
            server.close()
        self._connections.close()
        await self._tasks.cancel()
        self._udp.clear()
        self._tcp.clear()
        self.addresses.clear()

    def reconfigure(self, settings: DnsSettings) -> None:
        """Answer by other settings from now on (reload).

        Raises:
            ConfigError: they cannot be used; the old ones stay.
        """
        _check(settings)
        self._responder.reconfigure(settings)
        self._upstream.reconfigure(settings)

    async def query(self, data: bytes, *, tcp: bool) -> bytes | None:
        """The answer to a whole message that came another way (surface row D35), or None for none."""
        found = self._answer(data, tcp, self._monotonic())
        if isinstance(found, Elsewhere):
            found = await self._from_outside(found)
        return data[:2] + found if found is not None else None

    # --- UDP ---------------------------------------------------------------------------------------------------

    def _reader(self, datagrams: socket.socket) -> Callable[[], None]:
        """What the loop calls when `datagrams` can be read; everything it needs is a local name."""
        receive = datagrams.recvfrom
        send = datagrams.sendto
        responder = self._responder
        rotating = responder.cache.udp.rotating.get
        timed = responder.cache.udp.timed.get
        answer = self._answer
        outside = self._outside
        monotonic = self._monotonic
        count_answers = self._telemetry.answers

        def readable() -> None:
            started = monotonic()
            if started >= responder.second_ends:
                responder.tick(started)
            count = 0
            # Answers that had to be made wait for the end of the batch: the first send wakes a client that waits,
            # and all others find it awake (measured: a quarter more misses a second).
            late: list[tuple[bytes, Any]] = []
            try:
                for _ in range(_BATCH):
                    packet, peer = receive(_MAX_DATAGRAM)
                    query = packet[2:]
                    answers = rotating(query)
                    ready = next(answers, None) if answers is not None else timed(query)
                    if ready is None:
                        found = answer(packet, False, started)
                        if type(found) is not bytes:
                            if found is not None:
                                outside(found, partial(_send_later, send, packet[:2], peer))  # type: ignore[arg-type]
                            continue
                        late.append((packet[:2] + found, peer))
                        continue
                    send(packet[:2] + ready, peer)
                    count += 1
            except BlockingIOError:
                pass  # nothing left to read, or no room to send: the client asks again
            except OSError as error:
                # This one client cannot be reached; the loop calls again for those behind it.
                log.debug("reply not sent: error=%s", error)
            for message, peer in late:
                _send(send, message, peer)
            count += len(late)
            if count:
                count_answers(count, monotonic() - started)

        return readable

    # --- what the cache has not --------------------------------------------------------------------------------

    def _answer(self, packet: bytes, tcp: bool, now: float, *, waited: bool = False) -> bytes | Elsewhere | None:
        """The responder's answer; a failure of ours is answered SERVFAIL and logged, but never ends the server."""
        try:
            found = self._responder.reply(packet, tcp, now, waited=waited)
        except Exception as error:
            if now - self._logged_at >= _LOG_EVERY_S:
                self._logged_at = now
                log.exception("query failed: packet=%s error=%s", packet[:64].hex(), error)
            return _servfail(packet)
        responder = self._responder
        if responder.reverse != self._counted_reverse:
            self._counted_reverse = responder.reverse
            self._telemetry.reverse(self._monotonic() - now)
        if responder.malformed != self._logged_malformed and now - self._logged_at >= _LOG_EVERY_S:
            self._logged_at = now
            count = responder.malformed - self._logged_malformed
            self._logged_malformed = responder.malformed
            log.warning("malformed queries: count=%d last=%s", count, packet[:32].hex())
        return found

    def _outside(self, elsewhere: Elsewhere, send: Callable[[bytes], None]) -> None:
        self._tasks.start(self._send_from_outside(elsewhere, send), name="dns-recursor")

    async def _send_from_outside(self, elsewhere: Elsewhere, send: Callable[[bytes], None]) -> None:
        send(await self._from_outside(elsewhere))

    async def _from_outside(self, elsewhere: Elsewhere) -> bytes:
        """The answer to a query that needs recursors, or what its view does not have yet, behind the id."""
        if elsewhere.ready is not None:
            return await self._when_ready(elsewhere)
        if elsewhere.wants:
            resolved = {host: await self._upstream.addresses(host, elsewhere.question.type) for host in elsewhere.wants}
            for _ in range(_MAX_ROUNDS):
                try:
                    return self._responder.with_resolved(elsewhere, resolved)
                except NotYet as missing:
                    try:
                        await missing.ready()
                    except MeshError:
                        break
            return self._responder.gave_up(elsewhere)
        reply = await self._upstream.forward(elsewhere.data, elsewhere.tcp)
        return reply[2:] if reply is not None else self._responder.gave_up(elsewhere)

    async def _when_ready(self, elsewhere: Elsewhere) -> bytes:
        """Ask again whenever the view has more; a name may need several things, one after the other."""
        for _ in range(_MAX_ROUNDS):
            if elsewhere.ready is None:
                return await self._from_outside(elsewhere)
            try:
                await elsewhere.ready()
            except MeshError as error:
                log.debug("view not ready: name=%s: %s", elsewhere.question.text, error)
                break
            found = self._answer(elsewhere.data, elsewhere.tcp, self._monotonic(), waited=True)
            if not isinstance(found, Elsewhere):
                return found if found is not None else self._responder.gave_up(elsewhere)
            elsewhere = found
        return self._responder.gave_up(elsewhere)

    def _sweep(self) -> None:
        self._connections.sweep(self._monotonic())
        pause_s = _SWEEP_S if len(self._connections) else _IDLE_SWEEP_S
        self._sweeper = asyncio.get_running_loop().call_later(pause_s, self._sweep)


def _check(settings: DnsSettings) -> None:
    """Raise ConfigError with all that is wrong."""
    problems = []
    for text in settings.recursors:
        try:
            parse_recursor(text)
        except ConfigError as error:
            problems += error.problems
    if settings.recursor_strategy not in {"", "sequential", "random"}:
        problems.append(
            f"dns_config.recursor_strategy: {settings.recursor_strategy!r} is neither 'sequential' nor 'random'"
        )
    if problems:
        raise ConfigError(problems)


def _bound(host: str, port: int, kind: socket.SocketKind) -> socket.socket:
    """A non-blocking socket on that address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, kind)
    try:
        made.setblocking(False)
        if kind == socket.SOCK_STREAM:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            # Room for a burst while the loop does something else; the kernel takes what it allows.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        if family == socket.AF_INET6:
            # An IPv4 address of the same port is listened on by itself.
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((host, port))
    except OSError as error:
        made.close()
        place = f"[{host}]:{port}" if family == socket.AF_INET6 else f"{host}:{port}"
        raise cannot_listen("ports.dns", place, error) from error
    return made


def _send(send: Callable[[bytes, Any], int], message: bytes, peer: Any) -> None:
    try:
        send(message, peer)
    except OSError as error:
        log.debug("reply not sent: error=%s", error)


def _send_later(send: Callable[[bytes, Any], int], query_id: bytes, peer: Any, answer: bytes) -> None:
    # The socket may have been closed meanwhile, which is an OSError like any other.
    _send(send, query_id + answer, peer)


def _servfail(packet: bytes) -> bytes | None:
    if len(packet) < 12:
        return None
    flags = 0x8000 | (int.from_bytes(packet[2:4], "big") & 0x7900)
    rcode = NOTIMP if flags & 0x7800 else SERVFAIL
    return (flags | rcode).to_bytes(2, "big") + bytes(8)
