"""I/O edge: HTTP checks: one request, its status decides.

Source: surface row K11; outputs word for word as tests/data/golden/http/agent-checks.json. Each run opens a connection,
as Consul does, so that a server which stopped accepting is noticed.

A small client of our own over httptools, chosen by measurement (tests/agent/checks/measure_http.py, CPU of the agent's
side alone): 115-140 us a probe with uvloop, where aiohttp's client takes 285 us and 0.2 s to import. 10,000 checks
each 10 s are 1,000 probes a second, so 12-14 % of one core in place of 29 %.

What may be changed here: nothing of the output's wording. Whatever the target sends ends in an outcome.
"""

from __future__ import annotations

import asyncio
from typing import cast

from meshagent.agent.checks.definition import Definition, or_default
from meshagent.agent.checks.dial import Dialer, Secure, describe
from meshagent.agent.checks.http_request import MAX_REQUESTS, Request, compile_request, operation, redirected
from meshagent.agent.checks.http_response import ResponseReader
from meshagent.agent.checks.output import effective_max_size
from meshagent.agent.checks.probe import CRITICAL, PASSING, WARNING, Outcome, Probe, ProbeFailed, Tools, critical

__all__ = ["prepare"]

DEFAULT_TIMEOUT_S = 10.0
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


def prepare(definition: Definition, tools: Tools) -> Probe:
    """The probe of an HTTP check.

    Raises:
        ProbeFailed: the request cannot be built; it never can.
    """
    request = compile_request(definition.method, definition.http, definition.header or {}, definition.body)
    secure = Secure(definition.tls_skip_verify, definition.tls_server_name)
    return HttpProbe(
        request,
        secure,
        tools.dialer,
        timeout_s=or_default(definition.timeout, DEFAULT_TIMEOUT_S),
        max_bytes=effective_max_size(tools.settings.output_max_size, definition.output_max_size),
        follow=not definition.disable_redirects,
    )


class HttpProbe:
    """One HTTP check, ready to run again and again."""

    __slots__ = ("_dialer", "_follow", "_max_bytes", "_request", "_secure", "_timeout_s")

    def __init__(
        self, request: Request, secure: Secure, dialer: Dialer, *, timeout_s: float, max_bytes: int, follow: bool
    ) -> None:
        self._request = request
        self._secure = secure
        self._dialer = dialer
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._follow = follow

    async def __call__(self) -> Outcome:
        first = request = self._request
        deadline = asyncio.get_running_loop().time() + self._timeout_s
        try:
            reader = await self._exchange(request, deadline)
            sent = 1
            while self._follow and reader.code in _REDIRECTS and reader.location:
                if sent == MAX_REQUESTS:
                    return critical(f"{operation(first.method, request.url)}: stopped after {MAX_REQUESTS} redirects")
                request = redirected(request, reader.code, reader.location)
                reader = await self._exchange(request, deadline)
                sent += 1
        except ProbeFailed as error:
            return critical(str(error))
        output = f"HTTP {first.method} {first.url}: {reader.status} Output: {reader.body.text()}"
        if 200 <= reader.code <= 299:
            return Outcome(PASSING, output)
        return Outcome(WARNING if reader.code == 429 else CRITICAL, output)

    async def _exchange(self, request: Request, deadline: float) -> ResponseReader:
        """One request and its response; a body that does not come to its end in time is taken as far as it came."""
        loop = asyncio.get_running_loop()
        exchange = _Exchange(request.wire, ResponseReader(self._max_bytes, head=request.method == "HEAD"), loop)
        secure = self._secure if request.tls else None
        connected = False
        try:
            async with asyncio.timeout_at(deadline):
                await self._dialer.connect(request.target, lambda: exchange, secure)
                connected = True
                await exchange.finished
        except ProbeFailed as error:
            why = str(error)
            if request.tls and why == "tls: first record does not look like a TLS handshake":
                why = "http: server gave HTTP response to HTTPS client"
            raise ProbeFailed(f"{operation(request.method, request.url)}: {why}") from error
        except TimeoutError:
            if not exchange.reader.has_headers:
                why = "Client.Timeout exceeded while awaiting headers" if connected else "Client.Timeout exceeded"
                where = f"dial tcp {request.target.host}:{request.target.port}: i/o timeout"
                why = f"context deadline exceeded ({why})" if connected else where
                raise ProbeFailed(f"{operation(request.method, request.url)}: {why}") from None
        finally:
            exchange.close()
        return exchange.reader


class _Exchange(asyncio.Protocol):
    """Sends the request when connected, feeds what comes to the reader, resolves `finished` with None or an error."""

    __slots__ = ("_transport", "_wire", "finished", "reader")

    def __init__(self, wire: bytes, reader: ResponseReader, loop: asyncio.AbstractEventLoop) -> None:
        self._wire = wire
        self._transport: asyncio.Transport | None = None
        self.reader = reader
        self.finished: asyncio.Future[None] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self._transport.write(self._wire)

    def data_received(self, data: bytes) -> None:
        if self.finished.done():
            return
        try:
            if self.reader.feed(data):
                self.finished.set_result(None)
        except ProbeFailed as error:
            self.finished.set_exception(error)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.finished.done():
            return
        try:
            if exc is not None and not self.reader.has_headers:
                raise ProbeFailed(f"read: {describe(exc)}" if isinstance(exc, OSError) else str(exc))
            self.reader.feed_eof()
            self.finished.set_result(None)
        except ProbeFailed as error:
            self.finished.set_exception(error)

    def close(self) -> None:
        """Hang up at once; nothing that still comes matters."""
        if self.finished.done():
            if not self.finished.cancelled():
                self.finished.exception()  # looked at: not reported as forgotten
        else:
            self.finished.cancel()
        if self._transport is not None:
            self._transport.abort()
