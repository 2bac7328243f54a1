"""One question to other name servers: which, in what order, what counts as an answer.

Source: surface row D31; RFC 1035 section 4.2 (transports), RFC 5452 (what makes a reply believable: source address,
port, id, question), RFC 7766 section 5 (TCP after a truncated reply). The edge gives every attempt its own socket, so
that the port is random as well, connected, so that the kernel drops what comes from elsewhere.

A `Lookup` is a machine: it is told what happened and says what to do. One attempt runs at a time.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from meshagent.dns.settings import DnsSettings
from meshagent.dns.wire import ANY, IN, NOERROR, NXDOMAIN, RD, TC, A, parse_reply, wire_name
from meshagent.errors import ConfigError
from meshagent.machine import CancelTimer, Command, Event, SetTimer, TimerFired

__all__ = ["Answered", "Ask", "Done", "Failed", "Lookup", "Server", "address_query", "parse_recursor", "recursor_order"]

#: Address and port.
Server = tuple[str, int]

#: Replies that do not fit before an attempt is given up: someone is guessing (RFC 5452 section 9.2).
_MAX_STRAYS: Final = 16
_TIMER: Final = "attempt"
_DNS_PORT: Final = 53


@dataclass(frozen=True, slots=True)
class Answered(Event):
    """A message came back on the attempt's socket."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Failed(Event):
    """The attempt's socket failed: refused, unreachable, closed."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ask(Command):
    """Close the last attempt's socket and send `data` to `server` on a new one."""

    server: Server
    data: bytes
    tcp: bool


@dataclass(frozen=True, slots=True)
class Done(Command):
    """The end: the reply with the id of the query, or None when nobody had one. `why` says what went wrong."""

    reply: bytes | None
    why: str = ""


class Lookup:
    """Asks `servers` in turn until one says NOERROR or NXDOMAIN.

    `follow_truncated`: ask the same server again over TCP when its reply was cut (for our own questions; a client gets
    the cut reply and decides itself).
    """

    def __init__(
        self,
        query: bytes,
        servers: Sequence[Server],
        timeout_s: float,
        rng: random.Random,
        *,
        tcp: bool = False,
        follow_truncated: bool = False,
    ) -> None:
        self._query = query
        self._servers = list(servers)
        self._timeout_s = timeout_s
        self._rng = rng
        self._tcp = tcp
        self._follow_truncated = follow_truncated
        self._sent = b""
        self._server: Server = ("", 0)
        self._over_tcp = tcp
        self._strays = 0
        self._why: list[str] = []

    def start(self, now: float) -> list[Command]:
        """The first attempt."""
        return self._next(now)

    def handle(self, event: Event, now: float) -> list[Command]:
        """Take what happened to the current attempt."""
        if isinstance(event, Answered):
            return self._answered(event.data, now)
        if isinstance(event, Failed):
            return self._failed(event.reason, now)
        if isinstance(event, TimerFired):
            return self._failed("no reply in time", now)
        return []

    def _answered(self, data: bytes, now: float) -> list[Command]:
        flags = parse_reply(data, self._sent)
        if flags is None:
            self._strays += 1
            if self._over_tcp or self._strays >= _MAX_STRAYS:
                return self._failed("replies that do not match the question", now)
            return []
        rcode = flags & 0x0F
        if rcode not in (NOERROR, NXDOMAIN):
            return self._failed(f"rcode {rcode}", now)
        if flags & TC and self._follow_truncated and not self._over_tcp:
            return self._ask(self._server, True, now)
        return [CancelTimer(_TIMER), Done(self._query[:2] + data[2:])]

    def _failed(self, reason: str, now: float) -> list[Command]:
        host, port = self._server
        self._why.append(f"{host}:{port}: {reason}")
        return self._next(now)

    def _next(self, now: float) -> list[Command]:
        if not self._servers:
            return [CancelTimer(_TIMER), Done(None, "; ".join(self._why))]
        return self._ask(self._servers.pop(0), self._tcp, now)

    def _ask(self, server: Server, tcp: bool, now: float) -> list[Command]:
        self._server = server
        self._over_tcp = tcp
        self._strays = 0
        self._sent = self._rng.getrandbits(16).to_bytes(2, "big") + self._query[2:]
        return [Ask(server, self._sent, tcp), SetTimer(_TIMER, now + self._timeout_s)]


def recursor_order(settings: DnsSettings, rng: random.Random) -> list[Server]:
    """The recursors in the order to ask them: as listed, or shuffled (`recursor_strategy`)."""
    servers = [parse_recursor(text) for text in settings.recursors]
    if settings.recursor_strategy == "random":
        rng.shuffle(servers)
    return servers


def parse_recursor(text: str) -> Server:
    """Address and port of `1.2.3.4`, `1.2.3.4:53`, `fd00::1` or `[fd00::1]:53`.

    Raises:
        ConfigError: it is neither.
    """
    host, port = text, str(_DNS_PORT)
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        if rest:
            port = rest.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        parsed = ipaddress.ip_address(host)
        number = int(port)
    except ValueError:
        raise ConfigError(f"recursors: {text!r} is not an IP address with an optional port") from None
    if parsed.is_unspecified or not 0 < number <= 65535:
        raise ConfigError(f"recursors: {text!r} cannot be asked: address and port must not be zero")
    return str(parsed), number


def address_query(host: str, qtype: int) -> bytes | None:
    """Our own question for an outside host name, with id 0 and room for 1,232 bytes; None for an impossible name."""
    name = wire_name(host)
    if name is None:
        return None
    flags = RD.to_bytes(2, "big")
    question = name + (A if qtype == ANY else qtype).to_bytes(2, "big") + IN.to_bytes(2, "big")
    opt = b"\x00\x00\x29" + (1232).to_bytes(2, "big") + bytes(6)
    return b"\x00\x00" + flags + b"\x00\x01\x00\x00\x00\x00\x00\x01" + question + opt
