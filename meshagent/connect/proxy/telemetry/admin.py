"""I/O edge: what a sidecar answers about itself: metrics, edges, live requests. HTTP/1.1, GET only, one request each.

On a Unix socket that only its user reaches it answers everything; on an address for Prometheus only `/metrics` and
`/ready`. `/tap` goes on until one side ends it: a JSON object a line.

Source: Envoy's administration interface, of which it is the little that we need. What may change here: a row of
`_PAGES`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from meshagent.connect.proxy.telemetry.exposition import CONTENT_TYPE
from meshagent.connect.proxy.telemetry.observer import Observer
from meshagent.connect.proxy.telemetry.taps import Tap
from meshagent.errors import RemoteProtocolError

__all__ = ["Admin", "Pages", "json_page", "metrics_page"]

log = logging.getLogger("proxy.admin")

_MAX_HEAD, _HEAD_TIMEOUT_S = 8192, 10.0
_MOST_TAPS = 16
#: A tap that has nothing to say writes an empty line so often: it finds out who went away.
_BEAT_S = 5.0
_JSON = "application/json"

#: By path: (content type, what makes the body, whether everybody may ask).
Pages = Mapping[str, tuple[str, Callable[[], bytes], bool]]


class Admin:
    """Answers `pages` and `/tap`."""

    def __init__(self, pages: Pages, observer: Observer) -> None:
        self._pages = pages
        self._observer = observer
        self._servers: list[asyncio.Server] = []
        self._paths: list[Path] = []
        self._open: set[asyncio.StreamWriter] = set()
        self.bound = ""

    async def listen_unix(self, path: Path) -> None:
        """Answer everything at a socket of this user. Raises OSError."""
        _removed(path)
        self._servers.append(await asyncio.start_unix_server(self._serve_user, path, limit=_MAX_HEAD))
        os.chmod(path, 0o600)
        self._paths.append(path)

    async def listen(self, address: str) -> None:
        """Answer metrics at host:port. Raises OSError, ValueError."""
        host, _, port = address.rpartition(":")
        if not port.isdigit():
            raise ValueError(f"{address!r} is no host:port")
        place = host.strip("[]") or None
        self._servers.append(await asyncio.start_server(self._serve_all, place, int(port), limit=_MAX_HEAD))
        self.bound = address
        log.info("metrics: address=%s", address)

    def close(self) -> None:
        """Answer no more."""
        for server in self._servers:
            server.close()
        for path in self._paths:
            path.unlink(missing_ok=True)
        for writer in list(self._open):
            writer.transport.abort()
        self._servers, self._paths, self.bound = [], [], ""

    # --- one connection ----------------------------------------------------------------------------------------

    async def _serve_user(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._serve(reader, writer, trusted=True)

    async def _serve_all(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._serve(reader, writer, trusted=False)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, trusted: bool) -> None:
        self._open.add(writer)
        try:
            async with asyncio.timeout(_HEAD_TIMEOUT_S):
                head = await reader.readuntil(b"\r\n\r\n")
            method, _, rest = head.partition(b" ")
            target = urlsplit(rest.partition(b" ")[0].decode("ascii", "replace"))
            if method != b"GET":
                self._answer(writer, 405, "text/plain", b"only GET is answered\n")
            elif trusted and target.path == "/tap":
                await self._tap(reader, writer, dict(parse_qsl(target.query)))
            else:
                kind, make, public = self._pages.get(target.path, ("", bytes, False))
                if kind and (trusted or public):
                    self._answer(writer, 200, kind, make())
                else:
                    self._answer(writer, 404, "text/plain", b"no such page\n")
            async with asyncio.timeout(_HEAD_TIMEOUT_S):
                await writer.drain()
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            log.debug("a question was not answered: error=%s", error or "timed out")
        finally:
            self._open.discard(writer)
            writer.close()

    @staticmethod
    def _answer(writer: asyncio.StreamWriter, status: int, kind: str, body: bytes) -> None:
        reason = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed"}.get(status, "Error")
        head = f"HTTP/1.1 {status} {reason}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        writer.write(f"{head}Connection: close\r\n\r\n".encode() + body)

    async def _tap(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, filters: dict[str, str]) -> None:
        observer = self._observer
        woken = asyncio.Event()
        try:
            tap = Tap(filters, woken.set)
        except RemoteProtocolError as error:
            self._answer(writer, 400, "text/plain", f"{error}\n".encode())
            return
        if len(observer.taps) >= _MOST_TAPS:
            self._answer(writer, 400, "text/plain", b"too many taps\n")
            return
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n")
        observer.taps.add(tap)
        observer.changed()
        try:
            while not reader.at_eof():
                woken.clear()
                while tap.queue:
                    writer.write(msgspec.json.encode(tap.queue.popleft().tapped()) + b"\n")
                    await writer.drain()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_BEAT_S):
                        await woken.wait()
                if not tap.queue:
                    writer.write(b"\n")
                    await writer.drain()
        finally:
            observer.taps.discard(tap)
            observer.changed()


def _removed(path: Path) -> None:
    """Take a socket that was left behind out of the way; anything else stays, and binding fails."""
    if path.is_socket():
        path.unlink()


def json_page(make: Callable[[], Any]) -> tuple[str, Callable[[], bytes], bool]:
    """A page of JSON for the user of the socket."""
    return _JSON, lambda: msgspec.json.encode(make()), False


def metrics_page(make: Callable[[], bytes]) -> tuple[str, Callable[[], bytes], bool]:
    """The page for Prometheus."""
    return CONTENT_TYPE, make, True
