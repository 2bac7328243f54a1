"""Lines of an access log from Envoy's command operators, compiled once.

    %START_TIME% "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %BYTES_SENT%

Text formats give `-` for what is not known. JSON formats keep their shape; a value that is one operator alone keeps its
type, and what is not known is null. An operator that there is none of reads `-`, and `unknown` names it.

Source: envoyproxy.io, "Access logging: command operators, format dictionaries"; the golden files access-logs-*.json for
Consul's default. What may change here: an operator is a row of `OPERATORS`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from meshagent.connect.proxy.telemetry.record import Record

__all__ = ["CONSUL_JSON", "OPERATORS", "Format", "compile_json", "compile_text"]

Value = str | int | float | None
Read = Callable[[Record], Value]
Format = Callable[[Record], str]

#: What Consul's Envoys write when access logs are enabled and no format is given.
CONSUL_JSON: dict[str, str] = {
    "start_time": "%START_TIME%",
    "route_name": "%ROUTE_NAME%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "protocol": "%PROTOCOL%",
    "response_code": "%RESPONSE_CODE%",
    "response_flags": "%RESPONSE_FLAGS%",
    "response_code_details": "%RESPONSE_CODE_DETAILS%",
    "connection_termination_details": "%CONNECTION_TERMINATION_DETAILS%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "duration": "%DURATION%",
    "upstream_service_time": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
    "x_forwarded_for": "%REQ(X-FORWARDED-FOR)%",
    "user_agent": "%REQ(USER-AGENT)%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "authority": "%REQ(:AUTHORITY)%",
    "upstream_host": "%UPSTREAM_HOST%",
    "upstream_cluster": "%UPSTREAM_CLUSTER%",
    "upstream_local_address": "%UPSTREAM_LOCAL_ADDRESS%",
    "downstream_local_address": "%DOWNSTREAM_LOCAL_ADDRESS%",
    "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "requested_server_name": "%REQUESTED_SERVER_NAME%",
    "upstream_transport_failure_reason": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
}

_COMMAND = re.compile(r"%([A-Z_]+)(?:\(([^)]*)\))?(?::(\d+))?%|%%")


def _milliseconds(seconds: float) -> int | None:
    return round(seconds * 1000) if seconds >= 0 else None


def _plain(read: Callable[[Record], Value]) -> Callable[[str], Read]:
    return lambda _argument: read


def _text(read: Callable[[Record], str]) -> Callable[[str], Read]:
    return lambda _argument: lambda record: read(record) or None


_PSEUDO: dict[str, Callable[[Record], str]] = {
    ":METHOD": lambda record: record.method,
    ":PATH": lambda record: record.path,
    ":AUTHORITY": lambda record: record.authority,
    "HOST": lambda record: record.authority,
    ":SCHEME": lambda record: record.scheme,
}


def _header(field: str) -> Callable[[str], Read]:
    """`NAME?OTHER`: the second when the first is missing."""

    def of(argument: str) -> Read:
        wanted = [name.strip() for name in argument.split("?")[:2]]

        def read(record: Record) -> Value:
            for name in wanted:
                pseudo = _PSEUDO.get(name.upper()) if field == "request_headers" else None
                value = pseudo(record) if pseudo is not None else _find(getattr(record, field), name)
                if value:
                    return value
            return None

        return read

    return of


def _find(headers: list[tuple[bytes, bytes]], name: str) -> str:
    wanted = name.lower().encode("utf-8")
    return ",".join(value.decode("utf-8", "replace") for key, value in headers if key == wanted)


def _start_time(argument: str) -> Read:
    if not argument:
        return lambda record: (
            datetime.fromtimestamp(record.started, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        )
    if argument == "%s":
        return lambda record: int(record.started)
    # Envoy's %3f and alike: so many digits of the second's fraction.
    parts = re.split(r"%([1-9])f", argument)

    def read(record: Record) -> Value:
        when = datetime.fromtimestamp(record.started, UTC)
        digits = f"{int(record.started % 1 * 1e9):09d}"
        pieces = [when.strftime(part) if at % 2 == 0 else digits[: int(part)] for at, part in enumerate(parts)]
        return "".join(pieces)

    return read


def _host_only(address: str) -> str:
    return address.rpartition(":")[0] or address


#: Operators by name: what their argument makes of them.
OPERATORS: dict[str, Callable[[str], Read]] = {
    "START_TIME": _start_time,
    "REQ": _header("request_headers"),
    "RESP": _header("response_headers"),
    "TRAILER": _header("trailers"),
    "PROTOCOL": _text(lambda record: record.protocol),
    "RESPONSE_CODE": _plain(lambda record: record.status),
    "RESPONSE_CODE_DETAILS": _text(lambda record: record.detail.split(" ")[0]),
    "RESPONSE_FLAGS": _plain(lambda record: record.flags or "-"),
    "GRPC_STATUS_NUMBER": _plain(lambda record: record.grpc_status if record.grpc_status >= 0 else None),
    "CONNECTION_TERMINATION_DETAILS": _text(lambda record: "" if record.method else record.detail),
    "UPSTREAM_TRANSPORT_FAILURE_REASON": _text(lambda record: record.detail if "UF" in record.flags else ""),
    "BYTES_RECEIVED": _plain(lambda record: record.bytes_in),
    "BYTES_SENT": _plain(lambda record: record.bytes_out),
    "DURATION": _plain(lambda record: _milliseconds(record.duration_s)),
    "RESPONSE_DURATION": _plain(lambda record: _milliseconds(record.first_byte_s)),
    "RESPONSE_TX_DURATION": _plain(
        lambda record: _milliseconds(record.duration_s - record.first_byte_s) if record.first_byte_s >= 0 else None
    ),
    "UPSTREAM_HOST": _text(lambda record: record.upstream),
    "UPSTREAM_CLUSTER": _text(lambda record: record.cluster),
    "UPSTREAM_LOCAL_ADDRESS": _text(lambda record: ""),
    "UPSTREAM_REQUEST_ATTEMPT_COUNT": _plain(lambda record: record.tries),
    "DOWNSTREAM_LOCAL_ADDRESS": _text(lambda record: ""),
    "DOWNSTREAM_REMOTE_ADDRESS": _text(lambda record: record.peer_address),
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS": _text(lambda record: record.peer_address),
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": _text(lambda record: _host_only(record.peer_address)),
    "DOWNSTREAM_PEER_URI_SAN": _text(lambda record: record.peer_identity),
    "DOWNSTREAM_LOCAL_URI_SAN": _text(lambda record: record.local_identity),
    "DOWNSTREAM_PEER_SUBJECT": _text(lambda record: record.peer_subject),
    "REQUESTED_SERVER_NAME": _text(lambda record: record.sni),
    "ROUTE_NAME": _text(lambda record: record.route),
    "TRACE_ID": _text(lambda record: record.trace_id),
}


def compile_text(text: str) -> tuple[Format, list[str]]:
    """(what makes a line, operators that there are none of). A line has no line end but those of the format."""
    parts, unknown = _parts(text)

    def line(record: Record) -> str:
        return "".join(part if isinstance(part, str) else _as_text(part(record)) for part in parts)

    return line, unknown


def compile_json(shape: Any) -> tuple[Format, list[str]]:
    """The same for a JSON format: an object of strings, numbers and further objects."""
    unknown: list[str] = []
    made = _json(shape, unknown)
    return lambda record: json.dumps(made(record), separators=(",", ":"), ensure_ascii=False), unknown


def _json(shape: Any, unknown: list[str]) -> Callable[[Record], Any]:
    if isinstance(shape, dict):
        fields = [(str(key), _json(value, unknown)) for key, value in shape.items()]
        return lambda record: {key: read(record) for key, read in fields}
    if isinstance(shape, list):
        items = [_json(value, unknown) for value in shape]
        return lambda record: [read(record) for read in items]
    if not isinstance(shape, str):
        return lambda record: shape
    parts, missing = _parts(shape)
    unknown += missing
    if len(parts) == 1:
        (only,) = parts
        return (lambda record: only) if isinstance(only, str) else only
    return lambda record: "".join(part if isinstance(part, str) else _as_text(part(record)) for part in parts)


def _parts(text: str) -> tuple[list[str | Read], list[str]]:
    parts: list[str | Read] = []
    unknown = []
    at = 0
    for match in _COMMAND.finditer(text):
        if match.start() > at:
            parts.append(text[at : match.start()])
        at = match.end()
        if match[0] == "%%":
            parts.append("%")
            continue
        make = OPERATORS.get(match[1])
        if make is None:
            unknown.append(match[0])
            parts.append("-")
            continue
        read = make(match[2] or "")
        parts.append(_cut(read, int(match[3])) if match[3] else read)
    if at < len(text):
        parts.append(text[at:])
    return parts, unknown


def _cut(read: Read, length: int) -> Read:
    def cut(record: Record) -> Value:
        value = read(record)
        return value[:length] if isinstance(value, str) else value

    return cut


def _as_text(value: Value) -> str:
    return "-" if value is None else str(value).replace("\n", "\\n").replace("\r", "\\r")
