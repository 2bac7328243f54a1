"""The bytes of one gRPC health question: protobuf, gRPC's frame, and the meaning of status headers. No I/O.

Source: github.com/grpc/grpc doc/PROTOCOL-HTTP2.md and doc/health-checking.md, `grpc.health.v1`:
`HealthCheckRequest{service = 1: string}`, `HealthCheckResponse{status = 1: enum}`; protobuf's encoding guide;
doc/http-grpc-status-mapping.md. The protobuf is by hand, two fields do not need a library.

What may be changed here: any bytes either decode or raise `RemoteProtocolError`.
"""

from __future__ import annotations

import http
from urllib.parse import unquote_to_bytes

from meshagent.errors import RemoteProtocolError

__all__ = [
    "code_name",
    "decode_response",
    "encode_request",
    "from_http",
    "rpc_error",
    "serving_status",
    "status_message",
]

_SERVING = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
_CODES = (
    "OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists", "PermissionDenied",
    "ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented", "Internal", "Unavailable",
    "DataLoss", "Unauthenticated",
)  # fmt: skip
_FROM_HTTP = {
    400: "Internal",
    401: "Unauthenticated",
    403: "PermissionDenied",
    404: "Unimplemented",
    429: "Unavailable",
    502: "Unavailable",
    503: "Unavailable",
    504: "Unavailable",
}


def encode_request(service: str) -> bytes:
    """A framed HealthCheckRequest; an empty service asks for the whole server."""
    raw = service.encode("utf-8", "replace")
    message = b"\x0a" + _varint(len(raw)) + raw if raw else b""
    return b"\0" + len(message).to_bytes(4, "big") + message


def decode_response(data: bytes) -> int:
    """The status number of a framed HealthCheckResponse; 0 (UNKNOWN) when the field is absent.

    Raises:
        RemoteProtocolError: this is no such message.
    """
    if len(data) < 5:
        raise RemoteProtocolError("unexpected EOF in a gRPC message")
    if data[0] != 0:
        raise RemoteProtocolError("a compressed gRPC message, which was not asked for")
    length = int.from_bytes(data[1:5], "big")
    if len(data) - 5 != length:
        raise RemoteProtocolError(f"a gRPC message of {len(data) - 5} bytes that claims {length}")
    return _status_field(data[5:])


def _status_field(message: bytes) -> int:
    status = at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        number, wire_type = key >> 3, key & 7
        if number == 0:
            raise RemoteProtocolError("protobuf: field number 0")
        if wire_type == 0:
            value, at = _read_varint(message, at)
            if number == 1:
                status = value
        elif wire_type == 1:
            at += 8
        elif wire_type == 2:
            length, at = _read_varint(message, at)
            at += length
        elif wire_type == 5:
            at += 4
        else:
            raise RemoteProtocolError(f"protobuf: wire type {wire_type}")
    if at > len(message):
        raise RemoteProtocolError("protobuf: a field runs past the end")
    return status


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):  # ten bytes at most
        if at >= len(data):
            raise RemoteProtocolError("protobuf: a number runs past the end")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
    raise RemoteProtocolError("protobuf: a number of more than ten bytes")


def serving_status(number: int) -> str:
    """`SERVING`; numbers without a name as they are."""
    return _SERVING.get(number, str(number))


def code_name(text: str) -> str:
    """The name of a `grpc-status` header's number: `Unimplemented`, `Code(99)`."""
    if not text.isascii() or not text.isdigit():
        return "Unknown"
    number = int(text[:9])
    return _CODES[number] if number < len(_CODES) else f"Code({number})"


def status_message(text: str) -> str:
    """A `grpc-message` header: percent-encoded UTF-8."""
    return unquote_to_bytes(text).decode("utf-8", "replace")


def from_http(status: str, content_type: str) -> str:
    """The error for an answer that is not gRPC."""
    number = int(status) if status.isascii() and status.isdigit() and len(status) == 3 else 0
    if number == 200:
        quoted = content_type.replace('"', '\\"')
        return rpc_error("Unknown", f'unexpected HTTP status code received from server: 200 (OK); transport: '
                                    f'received unexpected content-type "{quoted}"')  # fmt: skip
    phrase = http.HTTPStatus(number).phrase if number in {s.value for s in http.HTTPStatus} else ""
    code = _FROM_HTTP.get(number, "Unknown")
    return rpc_error(code, f"unexpected HTTP status code received from server: {status} ({phrase})")


def rpc_error(code: str, description: str) -> str:
    """An error as grpc-go prints it, which Consul shows."""
    return f"rpc error: code = {code} desc = {description}"
