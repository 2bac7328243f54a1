"""What the proxy answers itself: statuses and bodies as Envoy's, in the words of gRPC where the client speaks it.

Source: Envoy's router and HTTP connection manager (bodies, response flags); github.com/grpc/grpc
doc/http-grpc-status-mapping.md. What may change here: further replies.
"""

from __future__ import annotations

from meshagent.connect.proxy.http.grpc import DEADLINE_EXCEEDED, UNKNOWN, is_grpc, message
from meshagent.connect.proxy.http.hooks import LocalReply
from meshagent.connect.proxy.http.messages import Headers, RequestHead, ResponseHead
from meshagent.connect.proxy.http.streams import Reset

__all__ = [
    "DEADLINE",
    "DENIED",
    "IDLE",
    "NO_HEALTHY_UPSTREAM",
    "NO_ROUTE",
    "NO_TOKEN",
    "OVERFLOW",
    "SLOW",
    "SLOW_BODY",
    "TIMED_OUT",
    "as_answer",
    "fault",
    "grpc_status",
    "of_reset",
]

NO_ROUTE = LocalReply(404, flag="NR", detail="route_not_found")
NO_HEALTHY_UPSTREAM = LocalReply(503, b"no healthy upstream", "UH", "no_healthy_upstream")
OVERFLOW = LocalReply(
    503,
    b"upstream connect error or disconnect/reset before headers. reset reason: overflow",
    "UO",
    "upstream_reset_before_response_started{overflow}",
    ((b"x-envoy-overloaded", b"true"),),
)
TIMED_OUT = LocalReply(504, b"upstream request timeout", "UT", "upstream_response_timeout")
DEADLINE = LocalReply(504, b"deadline exceeded", "DT", "grpc_timeout", (), DEADLINE_EXCEEDED)
IDLE = LocalReply(504, b"stream timeout", "SI", "stream_idle_timeout")
SLOW = LocalReply(408, b"stream timeout", "SI", "stream_idle_timeout")
SLOW_BODY = LocalReply(408, b"request timeout", "", "request_body_too_slow")
NO_TOKEN = LocalReply(401, b"Jwt is missing", "UAEX", "jwt_authn_access_denied", ((b"www-authenticate", b"Bearer"),))
DENIED = LocalReply(403, b"RBAC: access denied", "", "rbac_access_denied")

_WORDS = {
    Reset.CONNECT_FAILURE: ("remote connection failure", "UF"),
    Reset.CONNECT_TIMEOUT: ("connection timeout", "UF"),
    Reset.STALE: ("connection termination", "UC"),
    Reset.CONNECTION_LOST: ("connection termination", "UC"),
    Reset.REMOTE: ("remote reset", "UR"),
    Reset.REFUSED: ("remote refused stream reset", "UR"),
    Reset.PROTOCOL_ERROR: ("protocol error", "UPE"),
    Reset.OVERFLOW: ("overflow", "UO"),
}
#: HTTP status -> gRPC status (INTERNAL, UNAUTHENTICATED, PERMISSION_DENIED, UNIMPLEMENTED, UNAVAILABLE).
_GRPC = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}


def of_reset(why: Reset) -> LocalReply:
    """The answer when an upstream ended before it answered."""
    if why is Reset.OVERFLOW:
        return OVERFLOW
    words, flag = _WORDS.get(why, ("connection termination", "UC"))
    status = 502 if why is Reset.PROTOCOL_ERROR else 503
    text = f"upstream connect error or disconnect/reset before headers. reset reason: {words}"
    return LocalReply(status, text.encode(), flag, f"upstream_reset_before_response_started{{{why.value}}}")


def fault(status: int) -> LocalReply:
    """The answer of an injected error."""
    return LocalReply(status, b"fault filter abort", "FI", "fault_filter_abort")


def grpc_status(reply: LocalReply) -> int:
    """What a gRPC client is told."""
    return reply.grpc_status if reply.grpc_status >= 0 else _GRPC.get(reply.status, UNKNOWN)


def as_answer(reply: LocalReply, head: RequestHead) -> tuple[ResponseHead, bytes]:
    """Head and body. To gRPC: 200 and trailers only, the message percent-encoded."""
    if is_grpc(head):
        code = grpc_status(reply)
        headers: Headers = [(b"content-type", b"application/grpc"), (b"grpc-status", str(code).encode())]
        if reply.body:
            headers.append((b"grpc-message", message(reply.body)))
        return ResponseHead(200, [*headers, *reply.headers]), b""
    headers = [(b"content-length", str(len(reply.body)).encode())]
    if reply.body:
        headers.append((b"content-type", b"text/plain"))
    return ResponseHead(reply.status, [*headers, *reply.headers], len(reply.body)), reply.body
