"""I/O edge: connecting to a target, and saying in Consul's words why it did not work.

Source: surface rows K11-K13, K15, K17; the error texts are Go's net package's, which Consul shows as they are:
`dial tcp 127.0.0.1:1: connect: connection refused` (tests/data/golden/http/agent-checks.json).

Addresses are parsed once, when a check is prepared. A numeric one costs no look-up. A name is looked up by the
operating system in a thread, at most `LOOKUPS_AT_ONCE` at a time and once for all checks that ask within
`LOOKUP_FRESH_S`: a thousand checks of `localhost` must not keep the thread pool busy, and a dead resolver must not take
all its threads.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from meshagent.agent.checks.probe import ProbeFailed
from meshagent.agent.checks.tls import TlsContexts, explain
from meshagent.clock import Clock, Tasks

__all__ = ["Dialer", "Secure", "Target", "describe", "parse_target"]

#: Threads that look-ups may hold: asyncio's pool has six on two cores, others need some.
LOOKUPS_AT_ONCE = 4
#: A name's addresses serve all checks for this long.
LOOKUP_FRESH_S = 1.0
#: With several addresses the next is tried after this long without an answer (Go's least is the same).
ATTEMPT_S = 2.0

_NO_SUCH_HOST = frozenset({socket.EAI_NONAME, socket.EAI_NODATA})

P = TypeVar("P", bound=asyncio.BaseProtocol)
Lookup = Callable[[str], Awaitable[list[str]]]


class Target(msgspec.Struct, frozen=True, gc=False):
    """Where to connect; `text` is what the user wrote, with a port."""

    text: str
    host: str
    port: int
    numeric: bool


class Secure(msgspec.Struct, frozen=True, gc=False):
    """TLS of one check, without its context: that is looked up on each run, for certificates are reloaded."""

    skip_verify: bool = False
    server_name: str = ""
    alpn: str = ""


def parse_target(text: str, network: str = "tcp") -> Target:
    """A `host:port` of a definition: `127.0.0.1:80`, `[::1]:80`, `db.example:postgresql`, `:80` (this host).

    Raises:
        ProbeFailed: in Go's words, e.g. `dial tcp: address db: missing port in address`.
    """
    host, colon, port_text = text.rpartition(":")
    if not colon or (text.startswith("[") and text.endswith("]")):
        raise ProbeFailed(f"dial {network}: address {text}: missing port in address")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ProbeFailed(f"dial {network}: address {text}: too many colons in address")
    return make_target(text, host, _port(port_text, network), network)


def make_target(text: str, host: str, port: int, network: str = "tcp") -> Target:
    """A target whose parts are known. An empty host is this host, as in Go.

    Raises:
        ProbeFailed: the port is out of range.
    """
    if not 0 <= port <= 65535:
        raise ProbeFailed(f"dial {network}: address {port}: invalid port")
    host = host or "127.0.0.1"
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return Target(text, host, port, numeric=False)
    return Target(text, host, port, numeric=True)


def _port(text: str, network: str) -> int:
    if text.isascii() and text.isdigit():
        return int(text[:9])
    try:
        return socket.getservbyname(text, network) if text else 0
    except (OSError, ValueError):  # ValueError: a NUL in the name
        raise ProbeFailed(f"dial {network}: lookup {network}/{text}: unknown port") from None


def describe(error: OSError) -> str:
    """`connection refused`, `no route to host`: the system's words in small letters, which are Go's too."""
    if isinstance(error, TimeoutError) and error.errno is None:
        return "i/o timeout"
    if error.errno is None or error.errno < 0:  # negative: getaddrinfo's own numbers
        return (error.strerror or str(error) or "unknown error").lower()
    return os.strerror(error.errno).lower()


class Dialer:
    """Opens connections for probes; one for the whole agent."""

    def __init__(self, *, clock: Clock, tasks: Tasks, tls: TlsContexts, lookup: Lookup | None = None) -> None:
        self.tls = tls
        self._clock = clock
        self._tasks = tasks
        self._lookup = lookup or _ask_the_system
        self._gate = asyncio.Semaphore(LOOKUPS_AT_ONCE)
        self._known: dict[str, tuple[float, asyncio.Task[list[str] | OSError]]] = {}

    async def addresses(self, target: Target, network: str = "tcp") -> list[str]:
        """The numeric addresses of a target, in the system's order of preference.

        Raises:
            ProbeFailed: `dial tcp: lookup nowhere.example: no such host`.
        """
        if target.numeric:
            return [target.host]
        now = self._clock.monotonic()
        known = self._known.get(target.host)
        if known is None or (known[1].done() and now - known[0] > LOOKUP_FRESH_S):
            if len(self._known) > 1000:
                self._forget(now)
            task = self._tasks.start(self._look_up(target.host), name=f"checks.lookup {target.host}")
            known = self._known[target.host] = (now, task)
        found = await asyncio.shield(known[1])
        if found and not isinstance(found, OSError):
            return found
        why = describe(found) if isinstance(found, OSError) and found.errno not in _NO_SUCH_HOST else "no such host"
        raise ProbeFailed(f"dial {network}: lookup {target.host}: {why}")

    async def connect(self, target: Target, protocol: Callable[[], P], secure: Secure | None = None) -> P:
        """A connected protocol (after the handshake, with `secure`), the first address that answers winning.

        The caller bounds the whole with `asyncio.timeout` and says what running out of time means.

        Raises:
            ProbeFailed: in Go's words.
        """
        addresses = [target.host] if target.numeric else await self.addresses(target)
        context = name = None
        if secure is not None:
            context = self.tls.get(skip_verify=secure.skip_verify, alpn=secure.alpn)
            name = self.tls.server_name(secure.server_name, target.host)
        loop = asyncio.get_running_loop()
        failed: OSError | None = None
        where = ""
        for tried, address in enumerate(addresses, 1):
            try:
                # The last one (mostly the only one) has all the time that is left.
                async with asyncio.timeout(None if tried == len(addresses) else ATTEMPT_S):
                    made = await loop.create_connection(
                        protocol, address, target.port, ssl=context, server_hostname=name
                    )
                return made[1]
            except ssl.SSLError as error:
                raise ProbeFailed(explain(error, name or "")) from error
            except OSError as error:
                if failed is None:
                    failed, where = error, address
        assert failed is not None  # noqa: S101 - there is at least one address, and each has failed
        raise ProbeFailed(_dial_failed(where, target.port, failed, name))

    async def _look_up(self, host: str) -> list[str] | OSError:
        """A failure is a value here: several checks may wait for it, or none any more."""
        async with self._gate:
            try:
                return await self._lookup(host)
            except (OSError, UnicodeError) as error:  # UnicodeError: a label of more than 63 letters
                return error if isinstance(error, OSError) else OSError(socket.EAI_NONAME, str(error))

    def _forget(self, now: float) -> None:
        for host, (asked, task) in list(self._known.items()):
            if task.done() and now - asked > LOOKUP_FRESH_S:
                del self._known[host]


async def _ask_the_system(host: str) -> list[str]:
    rows = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(row[4][0]) for row in rows))


def _dial_failed(address: str, port: int, error: OSError, tls_name: str | None) -> str:
    where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    if isinstance(error, ConnectionResetError) and tls_name is not None:
        return "EOF"  # the peer hung up in the handshake
    if isinstance(error, TimeoutError) and error.errno is None:
        return f"dial tcp {where}: i/o timeout"
    return f"dial tcp {where}: connect: {describe(error)}"
