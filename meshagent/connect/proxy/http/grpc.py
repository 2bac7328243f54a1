"""gRPC as a proxy sees it: which requests are gRPC, their deadline, and how they ended. Pure.

Source: github.com/grpc/grpc doc/PROTOCOL-HTTP2.md (timeout, status) and doc/statuscodes.md; Envoy's Grpc::Utility
(statuses of HTTP for outlier detection). What may change here: nothing that would need a message to be decoded.
"""

from __future__ import annotations

from meshagent.connect.proxy.http.messages import Headers, RequestHead, get

__all__ = ["DEADLINE_EXCEEDED", "UNKNOWN", "deadline_s", "is_grpc", "message", "outcome", "status_of"]

UNKNOWN = 2
DEADLINE_EXCEEDED = 4

#: gRPC status -> the HTTP status that means the same to who counts failures (Envoy: grpcToHttpStatus).
_OUTCOMES = (200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401)
_UNITS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
#: "TimeoutValue: positive integer as ASCII string of at most 8 digits".
_MAX_DIGITS = 8


def is_grpc(head: RequestHead) -> bool:
    """Whether the client speaks gRPC (not gRPC-web)."""
    for name, value in head.headers:
        if name == b"content-type":
            return value.startswith(b"application/grpc") and value[16:17] in b"+;"
    return False


def deadline_s(headers: Headers) -> float | None:
    """Seconds that the client waits, from the request's head on; None without a (valid) `grpc-timeout`.

    Example: `grpc-timeout: 1500m` is 1.5.
    """
    value = get(headers, b"grpc-timeout")
    if value is None:
        return None
    digits, unit = value[:-1], _UNITS.get(value[-1:])
    if unit is None or not digits.isdigit() or len(digits) > _MAX_DIGITS:
        return None
    return int(digits) * unit


def status_of(headers: Headers | tuple[()]) -> int:
    """The status in trailers, or in a head that is trailers only: 0 is OK. What is no number is UNKNOWN; -1: none."""
    value = get(headers, b"grpc-status")
    if value is None:
        return -1
    return int(value) if value.isdigit() and len(value) <= 3 else UNKNOWN


def outcome(status: int) -> int:
    """The HTTP status that a gRPC status counts as."""
    return _OUTCOMES[status] if 0 <= status < len(_OUTCOMES) else 500


def message(text: bytes) -> bytes:
    """`grpc-message`, percent-encoded."""
    return b"".join(bytes([at]) if 0x20 <= at <= 0x7E and at != 0x25 else b"%%%02X" % at for at in text)
