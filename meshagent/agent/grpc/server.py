"""I/O edge: gRPC listeners: takes connections, and gives each call to the handler of its method.

Who has not shown who he is yet is a stranger: there are `MAX_STRANGERS` of them at most (the one that came first makes
room), and one that has asked nothing after `STRANGER_S` is left. A connection is known by a dialogue that says so, and
by a call that was answered.

Source: surface rows X36, X37, G11; grpc.io "Keepalive", "Graceful shutdown". What may change here: bounds; never
what a handler may rely on (`methods.py`).
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from meshagent.agent.grpc.channel import Call, Channel, Keepalive
from meshagent.agent.grpc.connection import (
    INTERNAL,
    INVALID_ARGUMENT,
    OK,
    PERMISSION_DENIED,
    UNIMPLEMENTED,
    Finished,
    Received,
)
from meshagent.agent.grpc.methods import DIALOGUE, MAX_MESSAGE, UNARY, Method, Refused, Service
from meshagent.errors import MeshError
from meshagent.listening import clear_way, own_socket

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["MAX_STRANGERS", "STRANGER_S", "GrpcServer"]

log = logging.getLogger("agent.grpc")

MAX_STRANGERS = 512
STRANGER_S = 10.0
BACKLOG = 1024
#: So much of a method that does not exist is repeated to who called it.
_SHOWN = 256


class GrpcServer:
    """All gRPC listeners of an agent, with the services of a table."""

    def __init__(self, agent: Agent, services: Iterable[Service], keepalive: Keepalive | None = None) -> None:
        self._agent = agent
        self._keepalive = keepalive
        self.services = {service.name: service for service in services}
        self._methods: dict[str, tuple[Service, Method]] = {
            f"/{service.name}/{method.name}": (service, method)
            for service in self.services.values()
            for method in service.methods
        }
        self._listeners: list[asyncio.Server] = []
        self._secured: list[asyncio.Server] = []
        self._sockets: list[Path] = []
        self._strangers: dict[Channel, asyncio.TimerHandle] = {}
        self._channels: set[Channel] = set()
        self._running: dict[Call, asyncio.Task[None]] = {}
        self.stopping = False
        #: Whether who connects may stay.
        self.admit: Callable[[Channel], bool] = lambda channel: True
        #: Whether a call is one that who connected this way may make.
        self.permit: Callable[[Call], bool] = lambda call: True

    # --- listeners ---------------------------------------------------------------------------------------------

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Listen on TCP (port 0: any), with TLS when there is a context; the port. Raises OSError."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        held = socket.create_server((host, port), family=family, backlog=BACKLOG)
        bound: int = held.getsockname()[1]
        await self._accept_on(held, tls)
        return bound

    async def listen_unix(
        self, path: Path, *, mode: int | None, user: str, group: str, tls: ssl.SSLContext | None = None
    ) -> None:
        """Listen on a Unix socket with these permissions and owner. Raises OSError."""
        clear_way(path)
        held = socket.socket(socket.AF_UNIX)
        held.bind(str(path))
        self._sockets.append(path)
        own_socket(path, mode, user, group)
        await self._accept_on(held, tls)

    async def _accept_on(self, held: socket.socket, tls: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        make = loop.create_unix_server if held.family == socket.AF_UNIX else loop.create_server
        timeout_s = STRANGER_S if tls is not None else None
        server = await make(self.accept, sock=held, ssl=tls, backlog=BACKLOG, ssl_handshake_timeout=timeout_s)
        (self._listeners if tls is None else self._secured).append(server)

    async def secure(self, context: ssl.SSLContext) -> None:
        """New TLS connections are made with this context; those that stand live on.

        Another listener takes over each socket: no connection is refused meanwhile.
        """
        before, self._secured = self._secured, []
        for server in before:
            for held in server.sockets:
                await self._accept_on(socket.socket(fileno=os.dup(held.fileno())), context)
            server.close()

    async def stop(self) -> None:
        """Listen no more, tell all callers to go elsewhere, and end."""
        self.stopping = True
        for server in (*self._listeners, *self._secured):
            server.close()
        for channel in list(self._channels):
            channel.shut("the agent is shutting down")
        running = list(self._running.values())
        if running:
            await asyncio.wait(running, timeout=STRANGER_S)
        for path in self._sockets:
            path.unlink(missing_ok=True)

    # --- connections -------------------------------------------------------------------------------------------

    def accept(self) -> Channel:
        """The protocol of a connection that comes in."""
        channel = Channel(dials=False, max_message=MAX_MESSAGE, limit_of=self._limit_of, keepalive=self._keepalive)
        channel.on_open, channel.on_call, channel.on_known = self._opened, self._called, self._known
        channel.on_lost = self._lost
        return channel

    def present(self) -> list[Service]:
        """The services that this agent has, by name."""
        return [found for _, found in sorted(self.services.items()) if found.present(self._agent)]

    def _limit_of(self, method: str) -> int:
        found = self._methods.get(method)
        return found[1].max_message if found is not None else MAX_MESSAGE

    def _opened(self, channel: Channel) -> None:
        metrics = self._agent.metrics
        if self.stopping or not self.admit(channel):
            channel.abort()
            return
        if len(self._strangers) >= MAX_STRANGERS:
            metrics.incr("grpc.server.connection.refused")
            next(iter(self._strangers)).close()
        loop = asyncio.get_running_loop()
        self._strangers[channel] = loop.call_later(STRANGER_S, self._idle, channel)
        self._channels.add(channel)
        metrics.incr("grpc.server.connection.count")
        metrics.move("grpc.server.connections", 1)

    def _idle(self, channel: Channel) -> None:
        """A stranger has had its time: unless it waits for an answer, it is left."""
        if not any(call.asked for call in channel.calls.values()):
            log.debug("a connection asked nothing: remote=%s", channel.remote)
            channel.close()

    def _known(self, channel: Channel) -> None:
        timer = self._strangers.pop(channel, None)
        if timer is not None:
            timer.cancel()

    def _lost(self, channel: Channel) -> None:
        self._known(channel)
        if channel in self._channels:
            self._channels.discard(channel)
            self._agent.metrics.move("grpc.server.connections", -1)

    # --- calls -------------------------------------------------------------------------------------------------

    def _called(self, call: Call) -> None:
        self._agent.metrics.incr("grpc.server.request.count")
        if not self.permit(call):
            call.finish(PERMISSION_DENIED, "invalid permissions to the specified endpoint")
            return
        found = self._methods.get(call.method)
        if found is None or not found[0].present(self._agent):
            call.finish(UNIMPLEMENTED, self._unknown(call.method))
            return
        task = self._agent.tasks.start(self._serve(call, found[1]), name=f"gRPC {call.method}")
        self._running[call] = task
        task.add_done_callback(lambda _: self._running.pop(call, None))
        if found[1].kind != DIALOGUE:
            call.on_gone = task.cancel

    def _unknown(self, method: str) -> str:
        service, _, name = method[1:_SHOWN].partition("/")
        known = self.services.get(service)
        if known is not None and known.present(self._agent):
            return f"unknown method {name} for service {service}"
        return f"unknown service {service}"

    async def _serve(self, call: Call, method: Method) -> None:
        streams = method.kind != UNARY
        if streams:
            self._agent.metrics.incr("grpc.server.stream.count")
            self._agent.metrics.move("grpc.server.streams", 1)
        code, text = OK, ""
        try:
            if method.kind == DIALOGUE:
                await method.handler(self._agent, call)
            else:
                await self._answer(call, method)
        except Refused as error:
            code, text = error.code, str(error)
        except MeshError as error:
            code, text = error.grpc_code, str(error)
        except Exception:  # the outermost loop: a fault of ours ends one call
            log.exception("gRPC call failed: method=%s remote=%s", call.method, call.remote)
            code, text = INTERNAL, "internal error: see the log of the agent"
        finally:
            if streams:
                self._agent.metrics.move("grpc.server.streams", -1)
        if code == OK:
            call.known()
        else:
            log.debug("gRPC call ended: method=%s remote=%s code=%d: %s", call.method, call.remote, code, text)
        call.finish(code, text)

    async def _answer(self, call: Call, method: Method) -> None:
        """One message, then its answers, unless the caller leaves before."""
        first = await call.next()
        if not isinstance(first, Received):
            if isinstance(first, Finished) and first.code == OK:
                raise Refused(INVALID_ARGUMENT, "a call without a message")
            return
        if method.kind == UNARY:
            call.send(await method.handler(self._agent, call, first.message))
            return
        async for answer in method.handler(self._agent, call, first.message):
            call.send(answer)
            await call.drained()
