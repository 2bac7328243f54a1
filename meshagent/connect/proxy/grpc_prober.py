"""I/O edge: an active check by gRPC: one call of `grpc.health.v1.Health/Check` to an instance, over mutual TLS.

Source: github.com/grpc/grpc doc/health-checking.md; Envoy's `grpc_health_check`. What may change here: what is asked
beside the service.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from meshagent.connect.proxy.cluster.host import Host
from meshagent.connect.proxy.contexts import Contexts
from meshagent.connect.proxy.http.codecs import client_codec
from meshagent.connect.proxy.http.connection import HttpConnection, Turn
from meshagent.connect.proxy.http.grpc import status_of
from meshagent.connect.proxy.http.messages import Headers, RequestHead, ResponseHead
from meshagent.connect.proxy.http.streams import ClientCodec, Reset
from meshagent.connect.proxy.layers.tls import Tls
from meshagent.connect.resilience import ActiveCheck
from meshagent.errors import RemoteProtocolError
from meshagent.grpc_health import code_name, decode_response, encode_request, serving_status

__all__ = ["Call", "probe_grpc"]

_PATH = b"/grpc.health.v1.Health/Check"
#: The answer is a message of two bytes.
_MAX_BYTES = 4096


async def probe_grpc(turn: Turn, contexts: Contexts, host: Host, check: ActiveCheck) -> str:
    """Ask once: why the instance is bad, "" when it serves. Raises OSError, TimeoutError."""
    loop = asyncio.get_running_loop()
    row = host.cluster
    found: asyncio.Future[str] = loop.create_future()

    def tell(reason: str) -> None:
        if not found.done():
            found.set_result(reason)

    def ready(connection: HttpConnection) -> ClientCodec | None:
        if tls.identity not in row.identities:
            tell(f"peer certificate mismatch: {tls.identity or 'none'}")
            return None
        codec = client_codec("h2", connection, turn.timers)
        connection.codec = codec
        call = Call(tell)
        stream = codec.open_stream(call.head(row.target.service), False, call)
        stream.send_data(encode_request(check.grpc_service), True)
        return codec

    tls = Tls(contexts.client_of(row.target.peer), server_side=False, server_name=row.target.sni or None, alpn=("h2",))
    connection = HttpConnection(
        turn, tls, ready, lambda one: tell(one.failure or "the peer closed the connection")
    )  # fmt: skip
    try:
        async with asyncio.timeout(check.timeout_s):
            await loop.create_connection(lambda: connection, host.address, host.port)
            return await found
    finally:
        connection.abort()


class Call:
    """`UpstreamHandler` of the call; `tell` is given why the instance is bad, "" when it serves."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._body = b""

    def head(self, authority: str) -> RequestHead:
        """What is asked."""
        headers: Headers = [
            (b"content-type", b"application/grpc"), (b"te", b"trailers"), (b"user-agent", b"meshagent-check"),
        ]  # fmt: skip
        return RequestHead(b"POST", b"https", authority.encode("ascii", "replace"), _PATH, headers, version=20)

    def on_informational(self, head: ResponseHead) -> None:
        """Nothing to learn."""

    def on_head(self, head: ResponseHead, end: bool) -> None:
        if head.status != 200:
            self._tell(f"answered {head.status}")
        elif end:
            self._ended(head.headers)

    def on_data(self, data: bytes, end: bool) -> None:
        if end or len(self._body) + len(data) > _MAX_BYTES:
            self._tell("the answer has no status")
        else:
            self._body += data

    def on_trailers(self, trailers: Headers) -> None:
        self._ended(trailers)

    def on_reset(self, why: Reset) -> None:
        self._tell(f"no answer: {why.value}")

    def on_blocked(self) -> None:
        """The question is short."""

    def on_writable(self) -> None:
        """The question is short."""

    def _ended(self, trailers: Headers) -> None:
        code = status_of(trailers)
        if code:
            self._tell(f"gRPC status {code_name(str(code)) if code >= 0 else 'missing'}")
            return
        try:
            state = serving_status(decode_response(self._body))
        except RemoteProtocolError as error:
            self._tell(str(error))
            return
        self._tell("" if state == "SERVING" else f"it is {state}")
