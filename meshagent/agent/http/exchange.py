"""What aiohttp's RequestHandler is given in place of its request and response objects: as little as it takes.

Source: aiohttp/web_protocol.py (what it asks of them). What may change here: what a new aiohttp asks for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiohttp.http_parser import RawRequestMessage
    from aiohttp.streams import StreamReader

    from meshagent.agent.http.connection import Connection

__all__ = ["Exchange", "Written"]


class Exchange:
    """One request on a connection."""

    __slots__ = ("_task", "connection", "message", "payload", "writer")

    def __init__(
        self, message: RawRequestMessage, payload: StreamReader, connection: Connection, writer: Any, task: Any
    ) -> None:
        self.message = message
        self.payload = payload
        self.connection = connection
        self.writer = writer
        self._task = task

    def _finish(self) -> None:
        return

    def _cancel(self, error: BaseException) -> None:
        self.payload.set_exception(error)

    @property
    def remote(self) -> str:
        """The address of the client, for aiohttp's own log lines."""
        return self.connection.remote


class Written:
    """The response: all of it has been written when it is returned."""

    __slots__ = ("keep_alive",)

    def __init__(self, keep_alive: bool) -> None:
        self.keep_alive = keep_alive

    async def prepare(self, _: Exchange) -> None:
        return

    async def write_eof(self) -> None:
        return
