"""I/O edge: a gRPC server and its client (grpcio) whose messages are plain bytes: all four kinds of calls.

Used by tests of sidecars. What may change here: further methods.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from concurrent import futures
from typing import Any

import grpc

__all__ = ["SERVICE", "EchoClient", "EchoServer"]

SERVICE = "meshtest.Echo"
_ANY_SIZE = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class EchoServer:
    """`Say` gives the message back (`fail <code> <words>` fails), `Count` sends 0 to n-1, `Sum` the length of all it
    was sent, `Chat` each message back, `Wait` nothing until it is cancelled, `Flaky` fails with UNAVAILABLE
    `failures` times."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.failures = 0
        self.waiting = threading.Event()
        self.cancelled = threading.Event()
        self.server = grpc.server(futures.ThreadPoolExecutor(max_workers=16), options=_ANY_SIZE)
        methods = {
            "Say": grpc.unary_unary_rpc_method_handler(self._say),
            "Count": grpc.unary_stream_rpc_method_handler(self._count),
            "Sum": grpc.stream_unary_rpc_method_handler(self._sum),
            "Chat": grpc.stream_stream_rpc_method_handler(self._chat),
            "Flaky": grpc.unary_unary_rpc_method_handler(self._flaky),
            "Wait": grpc.unary_unary_rpc_method_handler(self._wait),
        }
        #: What its health service says of `SERVICE`.
        self.serving = True
        health = {"Check": grpc.unary_unary_rpc_method_handler(self._check)}
        self.server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(SERVICE, methods),
                grpc.method_handlers_generic_handler("grpc.health.v1.Health", health),
            )
        )
        self.port: int = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def close(self) -> None:
        self.server.stop(0).wait()

    def _check(self, message: bytes, context: Any) -> bytes:
        if message != b"\x0a%c%s" % (len(SERVICE), SERVICE.encode()):
            context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
        return b"\x08\x01" if self.serving else b"\x08\x02"

    def _say(self, message: bytes, context: Any) -> bytes:
        metadata = dict(context.invocation_metadata())
        context.send_initial_metadata([("x-server", self.name), ("x-seen", metadata.get("x-client", ""))])
        context.set_trailing_metadata([("x-length", str(len(message)))])
        if message.startswith(b"fail "):
            _, code, words = message.decode().split(" ", 2)
            context.abort(getattr(grpc.StatusCode, code), words)
        return message

    def _flaky(self, message: bytes, context: Any) -> bytes:
        if self.failures:
            self.failures -= 1
            context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
        return message

    def _count(self, message: bytes, context: Any) -> Iterator[bytes]:
        for at in range(int(message)):
            yield str(at).encode()

    def _sum(self, messages: Iterable[bytes], context: Any) -> bytes:
        return str(sum(len(message) for message in messages)).encode()

    def _chat(self, messages: Iterable[bytes], context: Any) -> Iterator[bytes]:
        yield from messages

    def _wait(self, message: bytes, context: Any) -> bytes:
        context.add_callback(self.cancelled.set)
        self.waiting.set()
        self.cancelled.wait(60)
        return b""


class EchoClient:
    """One channel. Methods are grpc callables over bytes."""

    def __init__(self, port: int) -> None:
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=[*_ANY_SIZE, ("grpc.enable_retries", 0)])
        self.say = self.channel.unary_unary(f"/{SERVICE}/Say")
        self.count = self.channel.unary_stream(f"/{SERVICE}/Count")
        self.sum = self.channel.stream_unary(f"/{SERVICE}/Sum")
        self.chat = self.channel.stream_stream(f"/{SERVICE}/Chat")
        self.wait = self.channel.unary_unary(f"/{SERVICE}/Wait")
        self.flaky = self.channel.unary_unary(f"/{SERVICE}/Flaky")
        self.unknown = self.channel.unary_unary(f"/{SERVICE}/Unknown")

    def close(self) -> None:
        self.channel.close()
