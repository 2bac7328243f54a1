"""I/O edge: spans to an OTLP collector over HTTP, in batches, from a thread. What it does not take in time is dropped
and counted; requests never wait.

Source: opentelemetry.io/docs/specs/otlp ("OTLP/HTTP request", "failures": 429, 502, 503 and 504 are tried again). What
may change here: bounds.
"""

from __future__ import annotations

import asyncio
import http.client
import logging
from collections import deque
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from meshagent.clock import Clock, Tasks
from meshagent.connect.proxy.telemetry.record import Record

__all__ = ["SpanExporter"]

log = logging.getLogger("proxy.traces")

_MOST_SPANS, _BATCH = 4096, 512
_GATHER_S, _TIMEOUT_S = 1.0, 5.0
_RETRIES, _FIRST_PAUSE_S = 3, 1.0
_AGAIN = frozenset({429, 502, 503, 504})


class SpanExporter:
    """`offer` never waits. `encode` makes a request's body of records."""

    def __init__(
        self,
        endpoint: str,
        headers: Mapping[str, str],
        encode: Callable[[list[Record]], bytes],
        clock: Clock,
        tasks: Tasks,
    ) -> None:
        """Raises ValueError when the endpoint is no http URL."""
        url = urlsplit(endpoint)
        if url.scheme not in {"http", "https"} or not url.hostname:
            raise ValueError(f"otlp_endpoint: {endpoint!r} is no http:// or https:// URL")
        self._secure = url.scheme == "https"
        self._host, self._port = url.hostname, url.port or (443 if self._secure else 4318)
        self._path = url.path if url.path.strip("/") else "/v1/traces"
        self._headers = {"Content-Type": "application/json", "User-Agent": "meshagent-proxy", **headers}
        self._encode = encode
        self._clock = clock
        self._tasks = tasks
        self._waiting: deque[Record] = deque()
        self._sending: asyncio.Task[None] | None = None
        self.dropped = 0
        self.sent = 0

    def offer(self, record: Record) -> None:
        """Take a record."""
        if len(self._waiting) >= _MOST_SPANS:
            self.dropped += 1
            return
        self._waiting.append(record)
        if self._sending is None:
            self._sending = self._tasks.start(self._send_all(), name="span export")

    async def close(self) -> None:
        """Send what is left, once."""
        if self._sending is not None:
            self._sending.cancel()
        while self._waiting:
            if await self._post(self._batch()):
                break

    async def _send_all(self) -> None:
        try:
            while self._waiting:
                if len(self._waiting) < _BATCH:
                    await self._clock.sleep(_GATHER_S)
                await self._deliver(self._batch())
        finally:
            self._sending = None

    def _batch(self) -> list[Record]:
        return [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]

    async def _deliver(self, batch: list[Record]) -> None:
        pause_s = _FIRST_PAUSE_S
        for left in range(_RETRIES, -1, -1):
            problem = await self._post(batch)
            if not problem:
                return
            if not left or not problem.startswith("again"):
                self.dropped += len(batch)
                log.warning(
                    "spans are dropped: collector=%s:%d count=%d error=%s", self._host, self._port, len(batch), problem
                )
                return
            await self._clock.sleep(pause_s)
            pause_s *= 2

    async def _post(self, batch: list[Record]) -> str:
        """ "" when they were taken; `again ...` when it is worth trying."""
        body = self._encode(batch)
        problem = await asyncio.get_running_loop().run_in_executor(None, self._request, body)
        if not problem:
            self.sent += len(batch)
        return problem

    def _request(self, body: bytes) -> str:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=_TIMEOUT_S)
        try:
            connection.request("POST", self._path, body, self._headers)
            answer = connection.getresponse()
            answer.read(65536)
        except (OSError, http.client.HTTPException) as error:
            return f"again: {error or type(error).__name__}"
        except ValueError as error:  # a header that cannot be sent
            return str(error)
        finally:
            connection.close()
        if answer.status in _AGAIN:
            return f"again: answered {answer.status}"
        return "" if 200 <= answer.status < 300 else f"answered {answer.status}"
