"""I/O edge: sends finished intervals of the metrics to statsd, statsite and DogStatsD.

Source: surface row G27 (`telemetry.statsd_address`, `statsite_address`, `dogstatsd_addr`). statsd and DogStatsD are
datagrams, to a Unix socket when the address says `unix://`; statsite is a TCP stream. A server that is away costs
nothing but what was to be sent: it is tried again with the next interval, and told of once until it is back. What may
change here: rows of `sinks`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from meshagent.agent.statsd import lines, packets
from meshagent.errors import ConfigError

if TYPE_CHECKING:
    from meshagent.agent.config import Config
    from meshagent.clock import Tasks
    from meshagent.metrics import Interval, Metrics

__all__ = ["send_metrics"]

log = logging.getLogger("telemetry")

_CONNECT_S = 5.0
#: A stream that has taken nothing for so long is given up.
_WRITE_S = 10.0


async def send_metrics(config: Config, metrics: Metrics, tasks: Tasks) -> None:
    """Send what `telemetry` asks for, from the next interval on.

    Raises:
        ConfigError: an address is no address, or cannot be looked up and `retry_failed_connection` is false.
    """
    telemetry = config.telemetry
    rows: tuple[tuple[str, str, Callable[[str, str], _Datagrams | _Stream], tuple[str, ...] | None], ...] = (
        ("telemetry.statsd_address", telemetry.statsd_address, _Datagrams, None),
        ("telemetry.dogstatsd_addr", telemetry.dogstatsd_addr, _Datagrams, telemetry.dogstatsd_tags),
        ("telemetry.statsite_address", telemetry.statsite_address, _Stream, None),
    )
    for option, address, make, tags in rows:
        if address:
            sink = make(option, address)
            problem = await sink.open()
            if problem and not telemetry.retry_failed_connection:
                raise ConfigError(f"{option}: {problem}; set telemetry.retry_failed_connection to start all the same")
            _follow(metrics, sink, tags, tasks)
            log.info("sending metrics: to=%s option=%s", address, option)


def _follow(metrics: Metrics, sink: _Datagrams | _Stream, tags: tuple[str, ...] | None, tasks: Tasks) -> None:
    def finished(interval: Interval) -> None:
        if not sink.busy:
            found = list(packets(lines(interval, tagged=tags is not None, tags=tags or ())))
            tasks.start(sink.send(found), name="metrics sink")

    metrics.send_to(finished)


class _Sink:
    """What both have: an address, and one word about trouble until it is over."""

    def __init__(self, option: str, address: str) -> None:
        self.path = address.removeprefix("unix://") if address.startswith(("unix://", "/")) else ""
        host, _, port = address.rpartition(":")
        if not self.path and (not host or not port.isdecimal() or not 0 < int(port) < 65536):
            raise ConfigError(f"{option}: {address!r} is no host:port, e.g. 127.0.0.1:8125")
        self.option, self.address = option, address
        self.host, self.port = host.strip("[]"), int(port) if not self.path else 0
        self.busy = False
        self._told = False

    def _trouble(self, error: BaseException) -> str:
        reason = str(error) or type(error).__name__
        if not self._told:
            self._told = True
            log.warning("metrics cannot be sent: to=%s error=%s", self.address, reason)
        return f"cannot reach {self.address}: {reason}"

    def _well(self) -> None:
        if self._told:
            self._told = False
            log.info("metrics are sent again: to=%s", self.address)


class _Datagrams(_Sink):
    """One datagram a packet. The socket is connected anew for each interval: names may have moved."""

    async def open(self) -> str:
        """What is wrong with the address now; "" when nothing is."""
        return await self.send([])

    async def send(self, found: list[bytes]) -> str:
        """Send all packets; what went wrong."""
        loop = asyncio.get_running_loop()
        self.busy = True
        try:
            if self.path:
                family, place = socket.AF_UNIX, self.path
            else:
                infos = await loop.getaddrinfo(self.host, self.port, type=socket.SOCK_DGRAM)
                family, place = infos[0][0], infos[0][4]  # type: ignore[assignment]
            with socket.socket(family, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.connect(place)
                for packet in found:
                    await loop.sock_sendall(sock, packet)
        except OSError as error:
            return self._trouble(error)
        finally:
            self.busy = False
        self._well()
        return ""


class _Stream(_Sink):
    """One connection, kept."""

    _writer: asyncio.StreamWriter | None = None

    async def open(self) -> str:
        """Connect; what went wrong."""
        return await self.send([])

    async def send(self, found: list[bytes]) -> str:
        """Send all packets, connecting first where needed; what went wrong."""
        self.busy = True
        try:
            if self._writer is None:
                async with asyncio.timeout(_CONNECT_S):
                    _, self._writer = await asyncio.open_connection(self.host, self.port)
            for packet in found:
                self._writer.write(packet + b"\n")
            async with asyncio.timeout(_WRITE_S):
                await self._writer.drain()
        except (OSError, TimeoutError) as error:
            self._drop()
            return self._trouble(error)
        finally:
            self.busy = False
        self._well()
        return ""

    def _drop(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            with contextlib.suppress(OSError):
                writer.transport.abort()
