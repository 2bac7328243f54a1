"""I/O edge: the listener for peers (`ports.grpc_tls`): exchanges secrets, hands streams over to the leader's keeper.

Strangers get as far as a TLS handshake and a call that ends with an error: `MAX_STRANGERS` of them at a time, each for
`STRANGER_S`, with messages of `SMALL` bytes. Secrets are compared as digests in constant time; what was wrong is not
told apart.

Source: surface rows X37, PE1, M60; developer.hashicorp.com/consul/docs/east-west/cluster-peering/tech-specs. What may
change here: bounds; further services on the same port.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from meshagent.agent.peering.channel import ALPN, Channel
from meshagent.agent.peering.grpc import (
    FAILED_PRECONDITION,
    INVALID_ARGUMENT,
    OK,
    PERMISSION_DENIED,
    UNAVAILABLE,
    UNIMPLEMENTED,
    Called,
    Closed,
    Finished,
    Received,
)
from meshagent.agent.peering.messages import (
    EXCHANGE,
    EXCHANGE_METHOD,
    GIVEN,
    STREAM_METHOD,
    Given,
    Open,
    decode_message,
)
from meshagent.agent.peering.operations import new_secret
from meshagent.catalog.peering.commands import PeeringExchange
from meshagent.catalog.peering.model import secret_digest
from meshagent.errors import Denied, MeshError, NoLeader, RemoteProtocolError

if TYPE_CHECKING:
    from meshagent.agent.core import Agent

__all__ = ["MAX_STRANGERS", "SMALL", "STRANGER_S", "Acceptor"]

log = logging.getLogger("agent.peering")

MAX_STRANGERS = 128
STRANGER_S = 10.0
#: Until it is known who is there: an `Open` or an exchange of secrets has some 200 bytes.
SMALL = 16 * 1024

#: (channel, call, opening message) of a stream; it returns when that is over. Raises Denied, NoLeader.
Serve = Callable[[Channel, int, Open], Awaitable[None]]


class Acceptor:
    """The listener. `context` shows the certificate of now; `serve` takes streams."""

    def __init__(self, agent: Agent, context: ssl.SSLContext, serve: Serve) -> None:
        self._agent = agent
        self._context = context
        context.set_alpn_protocols([ALPN])
        self._serve = serve
        self._strangers: set[Channel] = set()
        self._servers: list[asyncio.Server] = []
        self._channels: set[Channel] = set()

    async def listen(self, host: str, port: int) -> int:
        """Listen; the port. Raises OSError."""
        server = await asyncio.get_running_loop().create_server(
            lambda: Channel(dials=False, max_message=SMALL, on_open=self._opened),
            host,
            port,
            ssl=self._context,
            ssl_handshake_timeout=STRANGER_S,
        )
        self._servers.append(server)
        bound: int = server.sockets[0].getsockname()[1]
        return bound

    async def stop(self) -> None:
        """Listen no more, and end all connections."""
        for server in self._servers:
            server.close()
        for channel in list(self._channels):
            channel.close()

    def _opened(self, channel: Channel) -> None:
        if len(self._strangers) >= MAX_STRANGERS:
            self._agent.metrics.incr("peering.refused")
            channel.close()
            return
        self._strangers.add(channel)
        self._channels.add(channel)
        self._agent.tasks.start(self._attend(channel), name="connection of a peer")

    async def _attend(self, channel: Channel) -> None:
        """Everything on one connection, until it ends."""
        try:
            while True:
                async with asyncio.timeout(STRANGER_S):
                    opened = await self._next_call(channel)
                if opened is None:
                    return
                call, method, message = opened
                if method == EXCHANGE_METHOD:
                    await self._exchange(channel, call, message)
                elif method == STREAM_METHOD:
                    await self._stream(channel, call, message)
                    return
                else:
                    channel.grpc.finish(call, UNIMPLEMENTED, f"unknown method {method}"[:256])
                channel.flush()
        except TimeoutError:
            log.debug("a connection to the port for peers said nothing: remote=%s", channel.remote)
        finally:
            self._strangers.discard(channel)
            self._channels.discard(channel)
            channel.close()

    async def _next_call(self, channel: Channel) -> tuple[int, str, bytes] | None:
        """(call, method, first message); None when the connection has ended."""
        methods: dict[int, str] = {}
        while True:
            event = await channel.next()
            match event:
                case Called(call, method):
                    methods[call] = method
                case Received(call, message) if call in methods:
                    return call, methods.pop(call), message
                case Finished(call, code, _):
                    if methods.pop(call, "") and code == OK:
                        channel.grpc.finish(call, INVALID_ARGUMENT, "a call without a message")
                        channel.flush()
                case Closed():
                    return None
                case _:
                    pass

    async def _exchange(self, channel: Channel, call: int, message: bytes) -> None:
        agent = self._agent
        try:
            asked = EXCHANGE.decode(message)
            secret = new_secret()
            good = await agent.write(PeeringExchange(asked.peer_id, secret_digest(asked.secret), secret_digest(secret)))
        except RemoteProtocolError as error:
            channel.grpc.finish(call, INVALID_ARGUMENT, str(error))
            return
        except MeshError as error:
            channel.grpc.finish(call, UNAVAILABLE, str(error))
            return
        if not good:
            log.warning("a secret to establish a peering was refused: remote=%s", channel.remote)
            agent.metrics.incr("peering.refused")
            channel.grpc.finish(call, PERMISSION_DENIED, "invalid peering establishment secret")
            return
        channel.grpc.send(call, GIVEN.encode(Given(secret)))
        channel.grpc.finish(call)

    async def _stream(self, channel: Channel, call: int, message: bytes) -> None:
        try:
            opening = decode_message(message)
            if not isinstance(opening, Open) or not opening.peer_id:
                raise RemoteProtocolError("a stream begins with who opens it")
            await self._serve(channel, call, opening)
        except RemoteProtocolError as error:
            channel.grpc.finish(call, INVALID_ARGUMENT, str(error))
        except Denied as error:
            self._agent.metrics.incr("peering.refused")
            log.warning("a stream of a peer was refused: remote=%s: %s", channel.remote, error)
            channel.grpc.finish(call, PERMISSION_DENIED, str(error))
        except NoLeader as error:
            channel.grpc.finish(call, FAILED_PRECONDITION, str(error))
        except MeshError as error:
            channel.grpc.finish(call, UNAVAILABLE, str(error))
        channel.flush()

    def known(self, channel: Channel) -> None:
        """Who is on that connection is known: it counts as a stranger no more."""
        self._strangers.discard(channel)
