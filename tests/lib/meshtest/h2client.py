"""I/O edge: a client of HTTP/2 made with the h2 library, which judges what the API sends.

Used by tests/agent/http. What may change here: further ways to ask.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    InformationalResponseReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from h2.exceptions import ProtocolError

from meshagent.agent.http.http2_connection import Http2Connection
from meshagent.agent.http.server import HttpServer

__all__ = ["H2Client", "Told", "http2_client"]


@dataclass
class Told:
    """What came for one request. `reset` is the code of RST_STREAM."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    ended: bool = False
    reset: int | None = None
    continued: bool = False

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


class H2Client:
    """One connection; `taking` False leaves windows closed: the client does not read answers."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.conn = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.conn.initiate_connection()
        self.told: dict[int, Told] = {}
        self.closed = False
        self.goaway: int | None = None
        self.taking = True
        self._changed = asyncio.Event()
        self.flush()
        self._task = asyncio.ensure_future(self._read())

    def flush(self) -> None:
        self.writer.write(self.conn.data_to_send())

    async def _read(self) -> None:
        try:
            while data := await self.reader.read(65536):
                for event in self.conn.receive_data(data):
                    self._event(event)
                self.flush()
                self._changed.set()
        except (OSError, ProtocolError):  # the library takes nothing after a GOAWAY, not even what was asked before
            pass
        self.closed = True
        self._changed.set()

    def _event(self, event: Event) -> None:
        if isinstance(event, ConnectionTerminated):
            self.goaway = int(event.error_code or 0)
            return
        stream = getattr(event, "stream_id", None)
        told = self.told.get(stream) if stream is not None else None
        if told is None:
            return
        if isinstance(event, InformationalResponseReceived):
            told.continued = True
        elif isinstance(event, ResponseReceived):
            pairs = [(str(name), str(value)) for name, value in event.headers or ()]
            told.status = int(dict(pairs)[":status"])
            told.headers = dict(pairs)
        elif isinstance(event, DataReceived):
            told.body += event.data or b""
            if self.taking and event.flow_controlled_length:
                self.conn.acknowledge_received_data(event.flow_controlled_length, event.stream_id or 0)
        elif isinstance(event, StreamEnded):
            told.ended = True
        elif isinstance(event, StreamReset):
            told.reset = int(event.error_code or 0)

    def ask(self, method: str, path: str, *, end: bool = True, **headers: str) -> int:
        """Send a head; the number of the stream."""
        stream = self.conn.get_next_available_stream_id()
        self.told[stream] = Told()
        named = [(name.replace("_", "-").lower(), value) for name, value in headers.items()]
        base = [(":method", method), (":scheme", "https"), (":authority", "api"), (":path", path)]
        self.conn.send_headers(stream, [*base, *named], end_stream=end)
        self.flush()
        return stream

    async def send(self, stream: int, data: bytes, *, end: bool) -> None:
        """A body, as the server's windows let it."""
        told = self.told[stream]
        while data:
            if told.reset is not None or self.closed:
                return
            size = min(self.conn.local_flow_control_window(stream), self.conn.max_outbound_frame_size, len(data))
            if size:
                self.conn.send_data(stream, data[:size])
                data = data[size:]
                self.flush()
            else:
                await self.until(
                    lambda: self.closed or told.reset is not None or self.conn.local_flow_control_window(stream) > 0
                )
        if end:
            self.conn.end_stream(stream)
            self.flush()

    async def until(self, condition: Any, within_s: float = 30.0) -> None:
        """Until what has come fulfils a condition."""
        async with asyncio.timeout(within_s):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def answer(self, stream: int) -> Told:
        told = self.told[stream]
        await self.until(lambda: told.ended or told.reset is not None or self.closed)
        return told

    async def request(self, method: str, path: str, body: bytes = b"", **headers: str) -> Told:
        if body:
            headers = {"Content-Length": str(len(body)), **headers}
        stream = self.ask(method, path, end=not body, **headers)
        if body:
            await self.send(stream, body, end=True)
        return await self.answer(stream)

    async def close(self) -> None:
        self.writer.close()
        await self._task


async def http2_client(server: HttpServer) -> H2Client:
    """A client of `server` on a listener of its own, without TLS."""
    listener = await asyncio.get_running_loop().create_server(lambda: Http2Connection(server), "127.0.0.1", 0)
    server._listeners.append(listener)
    return H2Client(*await asyncio.open_connection("127.0.0.1", listener.sockets[0].getsockname()[1]))
