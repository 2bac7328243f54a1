"""I/O edge: the HTTP listeners, and what their connections share.

Source: surface rows C17, C26, C31, G11, G12, G15; design.md "The hot paths serve bytes". What may change here: kinds of
listeners. A reload replaces the settings as a whole; connections stay.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp.web_server import Server as Manager

from meshagent.agent.http.connection import Connection
from meshagent.agent.http.dispatch import Dispatcher, Outcome
from meshagent.agent.http.door import Door
from meshagent.agent.http.exchange import Exchange
from meshagent.agent.http.hot import HotEntry, HotReads
from meshagent.agent.http.response import JSON, Response
from meshagent.agent.http.tallies import Traffic
from meshagent.agent.http.wire import Answer, DateLine, error_answer, finish
from meshagent.errors import InternalError, MeshError
from meshagent.listening import clear_way, own_socket

if TYPE_CHECKING:
    from meshagent.agent.core import Agent
    from meshagent.agent.http.http2_connection import Http2Connection
    from meshagent.agent.http.reads import Reads
    from meshagent.agent.http.routes import Route
    from meshagent.agent.http.settings import HttpSettings

__all__ = ["HttpServer"]

log = logging.getLogger("agent.http")

BACKLOG = 1024


class HttpServer:
    """The HTTP API of one agent on any number of listeners."""

    def __init__(self, agent: Agent, settings: HttpSettings, routes: tuple[Route, ...] | None = None) -> None:
        self.agent = agent
        self.log = agent.log
        self.date = DateLine(agent.clock.now())
        self.hot = HotReads(agent.metrics)
        self.stopping = False
        self._routes = routes
        self._reads: Reads | None = None
        self._per_client: dict[str, int] = {}
        #: Connections of HTTP/2; those of HTTP/1 are aiohttp's `manager`'s.
        self.http2: set[Http2Connection] = set()
        self._listeners: list[asyncio.Server] = []
        self._secured: list[asyncio.Server] = []
        self._sockets: list[Path] = []
        self._tick: asyncio.TimerHandle | None = None
        manager: Any = Manager
        self.manager: Manager = manager(
            _serve, request_factory=Exchange, handler_cancellation=True, loop=asyncio.get_running_loop()
        )
        self.put_sampler = agent.metrics.sampler("api.http", (("method", "PUT"), ("path", "v1_kv_")))
        self.apply_sampler = agent.metrics.sampler("kvs.apply")
        self.configure(settings)
        agent.metrics.collect(Traffic(self.dispatcher.sampled()).collect)
        self._update_date()

    def configure(self, settings: HttpSettings) -> None:
        """Take new settings; answers that depended on the old ones are forgotten."""
        self.settings = settings
        self.hot.clear()
        if self._reads is not None:
            self._reads.views.clear()
        self.dispatcher = Dispatcher(self.agent, settings, self._routes)
        self._reads = self.dispatcher.reads
        self._reads.views.on_forget = self.hot.forget
        self._plain = {done: self._plain_answer(done) for done in (True, False)}
        #: Counting against a rate needs the long way.
        self.shortcuts = not self.dispatcher.limits.active
        # A client agent has no log to write to.
        self._shortcut = (
            self.shortcuts
            and self.agent.upstream is None
            and "acl" not in self.agent.extras
            and "audit" not in self.agent.extras
            and not self.agent.config.history.versions
            and not any(
                "/v1/kv/".startswith(prefix) or prefix.startswith("/v1/kv/") for prefix in settings.block_endpoints
            )
        )
        self._update_plain()

    # --- listeners ---------------------------------------------------------------------------------------------

    async def listen(self, host: str, port: int, context: ssl.SSLContext | None = None) -> tuple[str, int]:
        """Serve on a TCP address (port 0: any), with TLS when there is a context; return where.

        Raises:
            OSError: the address cannot be bound.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        address = await self._accept(socket.create_server((host, port), family=family, backlog=BACKLOG), context)
        return str(address[0]), int(address[1])

    async def secure(self, context: ssl.SSLContext) -> None:
        """New TLS connections are made with this context; those that stand live on.

        Another listener takes over each socket: no connection is refused meanwhile.
        """
        before, self._secured = self._secured, []
        for listener in before:
            for held in listener.sockets:
                await self._accept(socket.socket(fileno=os.dup(held.fileno())), context)
            listener.close()
            self._listeners.remove(listener)

    async def listen_unix(self, path: Path, *, mode: int | None = None, user: str = "", group: str = "") -> None:
        """Serve on a Unix socket with the given permissions and owner (names or numbers); a stale socket is replaced.

        Raises:
            OSError: something else is there, or the owner cannot be set.
        """
        clear_way(path)
        loop = asyncio.get_running_loop()
        listener = await loop.create_unix_server(self._connection, str(path), backlog=BACKLOG)
        self._listeners.append(listener)
        self._sockets.append(path)
        own_socket(path, mode, user, group)

    async def stop(self, drain_s: float = 3.0) -> None:
        """Stop listening, answer blocking queries now, let other requests end for up to `drain_s` seconds, close."""
        self.stopping = True
        for listener in self._listeners:
            listener.close()
        self.dispatcher.reads.views.release()
        if "mesh" in self.dispatcher.agent.extras:
            self.dispatcher.agent.extras["mesh"].proxies.release()
        self.manager.pre_shutdown()
        for connection in list(self.http2):
            connection.drain()
        await self.manager.shutdown(drain_s)
        await self._end_http2(drain_s)
        self._listeners.clear()
        self._secured.clear()
        if self._tick is not None:
            self._tick.cancel()
        for path in self._sockets:
            path.unlink(missing_ok=True)
        self._sockets.clear()
        self.dispatcher.reads.views.clear()

    @property
    def connections(self) -> Sequence[Any]:
        """The open connections."""
        return (*self.manager.connections, *self.http2)

    # --- what connections ask ----------------------------------------------------------------------------------

    def admit(self, remote: str) -> bool:
        """Count a new connection from an IP address; False when it has too many."""
        if not remote:
            return True
        count = self._per_client.get(remote, 0)
        if 0 < self.settings.max_conns_per_client <= count:
            return False
        self._per_client[remote] = count + 1
        return True

    def release(self, remote: str) -> None:
        """A counted connection has ended."""
        count = self._per_client.get(remote, 0) - 1
        if count > 0:
            self._per_client[remote] = count
        else:
            self._per_client.pop(remote, None)

    def may_shortcut_put(self, remote: str) -> bool:
        """Whether plain KV writes of this client need no further look."""
        return self._shortcut and self.settings.may_write(remote)

    def remember(self, raw: bytes, outcome: Outcome) -> None:
        """Answer the request bytes `raw` from the outcome's view from now on."""
        view, dress = outcome.view, outcome.dress
        if view is None or dress is None or not self.shortcuts:
            return
        identity = outcome.identity
        if identity is not None and (identity.stale or identity.token is None):
            return
        reads, sampler = self.dispatcher.reads, outcome.sampler
        self.hot.remember(raw, view, dress, lambda: HotEntry(view, dress, reads, self.date, sampler), identity)

    def wire(self, answer: Answer, *, keep_alive: bool, old: bool = False) -> tuple[bytes, ...]:
        """The pieces of an answer. `old`: the client speaks HTTP/1.0, where keeping alive must be said."""
        connection = b""
        if not keep_alive:
            connection = b"Connection: close\r\n"
        elif old:
            connection = b"Connection: keep-alive\r\n"
        if len(answer.body) < 4096:
            return (b"".join((answer.head, connection, self.date.line, answer.body)),)
        return (answer.head + connection + self.date.line, answer.body)

    def write_failed(self, error: BaseException) -> Answer:
        """What a KV write answers when the log refuses it; the same as the endpoint."""
        always = self.dispatcher.always
        if not isinstance(error, MeshError):
            log.error("request failed: method=PUT path=/v1/kv/", exc_info=error)
            return error_answer(500, "internal error: see the log of the agent", always)
        if error.http_status == 500 and not error.retryable:
            error = InternalError(f"raft apply failed: {error}")
        return error_answer(error.http_status, str(error), always)

    # --- inside ------------------------------------------------------------------------------------------------

    async def _accept(self, held: socket.socket, context: ssl.SSLContext | None) -> Any:
        """Serve who connects to this socket; its address."""
        listener = await asyncio.get_running_loop().create_server(
            self._connection if context is None else self._door,
            sock=held,
            ssl=context,
            backlog=BACKLOG,
            ssl_handshake_timeout=self.settings.https_handshake_timeout_s if context is not None else None,
        )
        self._listeners.append(listener)
        if context is not None:
            self._secured.append(listener)
        return listener.sockets[0].getsockname()

    async def _end_http2(self, drain_s: float) -> None:
        """Close what is left when its requests have had time to end."""
        open_ = [request.task for connection in self.http2 for request in connection.requests if request.task]
        if open_:
            await asyncio.wait(open_, timeout=drain_s)
        for connection in list(self.http2):
            connection.close()

    def _connection(self) -> Connection:
        return Connection(self, asyncio.get_running_loop())

    def _door(self) -> Door:
        return Door(self)

    def _plain_answer(self, done: bool) -> Answer:
        body = b"true" if done else b"false"
        if self.settings.pretty:
            body += b"\n"
        return finish(Response(200, body, content_type=JSON), self.dispatcher.always, gzip=False)

    def _update_plain(self) -> None:
        self.put_true = self.wire(self._plain[True], keep_alive=True)[0]
        self.put_false = self.wire(self._plain[False], keep_alive=True)[0]

    def _update_date(self) -> None:
        now = self.agent.clock.now()
        self.date.update(now)
        self._update_plain()
        guardian = self.agent.extras.get("acl")
        if guardian is not None:
            guardian.sweep(now)
            if now.second == 0:  # a token that is used says so once a minute at least
                self.hot.look_again()
        self._tick = asyncio.get_running_loop().call_later(1.001 - now.microsecond / 1e6, self._update_date)


async def _serve(exchange: Exchange) -> Any:
    return await exchange.connection.serve(exchange)
