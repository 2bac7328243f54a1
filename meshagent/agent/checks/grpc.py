"""I/O edge: gRPC checks: `grpc.health.v1.Health/Check` of a server, or of one service of it.

Source: surface row K15; outputs word for word as tests/data/golden/http/agent-checks.json, errors as grpc-go prints
them. One call on a connection of its own over h2; grpcio is not needed. The target is `host:port` or
`host:port/service`.

What may be changed here: nothing of the wording.
"""

from __future__ import annotations

import asyncio

from meshagent.agent.checks.definition import Definition, or_default
from meshagent.agent.checks.dial import Dialer, Secure, Target, parse_target
from meshagent.agent.checks.h2_exchange import H2Call, H2Reply
from meshagent.agent.checks.probe import PASSING, Outcome, Probe, ProbeFailed, Tools, critical
from meshagent.errors import RemoteProtocolError
from meshagent.grpc_health import (
    code_name,
    decode_response,
    encode_request,
    from_http,
    rpc_error,
    serving_status,
    status_message,
)

__all__ = ["prepare"]

DEFAULT_TIMEOUT_S = 10.0


def prepare(definition: Definition, tools: Tools) -> Probe:
    """The probe of a gRPC check.

    Raises:
        ProbeFailed: the address is none.
    """
    address, _, service = definition.grpc.partition("/")
    try:
        target = parse_target(address)
    except ProbeFailed as error:
        raise ProbeFailed(_unreachable(str(error))) from error
    secure = None
    if definition.grpc_use_tls:
        secure = Secure(definition.tls_skip_verify, definition.tls_server_name, alpn="h2")
    return GrpcProbe(
        definition.grpc, target, service, secure, tools.dialer, or_default(definition.timeout, DEFAULT_TIMEOUT_S)
    )


class GrpcProbe:
    """One gRPC check, ready to run again and again."""

    __slots__ = ("_body", "_dialer", "_headers", "_name", "_secure", "_target", "_timeout_s")

    def __init__(
        self, name: str, target: Target, service: str, secure: Secure | None, dialer: Dialer, timeout_s: float
    ) -> None:
        self._name = name
        self._target = target
        self._secure = secure
        self._dialer = dialer
        self._timeout_s = timeout_s
        self._body = encode_request(service)
        self._headers = (
            (":method", "POST"),
            (":scheme", "http" if secure is None else "https"),
            (":path", "/grpc.health.v1.Health/Check"),
            (":authority", (secure.server_name if secure is not None else "") or target.text),
            ("content-type", "application/grpc"),
            ("user-agent", "meshagent"),
            ("te", "trailers"),
            ("grpc-timeout", f"{min(99_999_999, max(1, round(timeout_s * 1000)))}m"),
        )

    async def __call__(self) -> Outcome:
        call = H2Call(self._headers, self._body)
        connected = False
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._dialer.connect(self._target, lambda: call, self._secure)
                connected = True
                await call.finished
        except ProbeFailed as error:
            why = str(error)
            return critical(rpc_error("Unavailable", f"error reading from server: {why}") if connected else
                            _unreachable(why))  # fmt: skip
        except TimeoutError:
            return critical(rpc_error("DeadlineExceeded", "context deadline exceeded"))
        finally:
            call.close()
        failure = self._judge(call.reply)
        return critical(failure) if failure else Outcome(PASSING, f"gRPC check {self._name}: success")

    def _judge(self, reply: H2Reply) -> str:
        """What is wrong with a reply; empty if the target serves."""
        status = reply.headers.get(":status", "")
        content_type = reply.headers.get("content-type", "")
        if status != "200" or not content_type.startswith("application/grpc"):
            return from_http(status, content_type)
        end = reply.trailers or reply.headers  # an error without a body comes in the headers
        code = end.get("grpc-status")
        if code is None:
            return rpc_error("Internal", "server closed the stream without sending trailers")
        if code != "0":
            return rpc_error(code_name(code), status_message(end.get("grpc-message", "")))
        try:
            serving = serving_status(decode_response(reply.body))
        except RemoteProtocolError as error:
            return rpc_error("Internal", f"grpc: failed to unmarshal the received message: {error}")
        return "" if serving == "SERVING" else f"gRPC {self._name} serving status: {serving}"


def _unreachable(why: str) -> str:
    if why.startswith(("dial tcp: lookup", "dial tcp: address")):
        return rpc_error("Unavailable", why.replace("dial tcp: ", "", 1))
    if why.startswith("dial"):
        why = f"Error while dialing: {why}"
    else:
        why = f"authentication handshake failed: {why}"
    return rpc_error("Unavailable", f'connection error: desc = "transport: {why}"')
