"""Spans as an OTLP request: JSON, which every collector of OTLP over HTTP takes.

Source: opentelemetry.io/docs/specs/otlp ("OTLP/HTTP", "JSON Protobuf encoding": ids in hex, 64-bit numbers as strings)
and the semantic conventions for HTTP spans. What may change here: attributes.
"""

from __future__ import annotations

from typing import Any

import msgspec

from meshagent.connect.proxy.telemetry.record import Record

__all__ = ["encode"]

#: SpanKind of the protocol: who is asked, and who asks.
_SERVER, _CLIENT = 2, 3
#: Status of the protocol.
_UNSET, _ERROR = 0, 2


def encode(records: list[Record], service: str, proxy_id: str, version: str) -> bytes:
    """The body of a POST to `/v1/traces`."""
    resource = {
        "attributes": _attributes({
            "service.name": service, "service.instance.id": proxy_id, "telemetry.sdk.name": "meshagent",
        })
    }  # fmt: skip
    scope = {"name": "meshagent.connect.proxy", "version": version}
    spans = [_span(record) for record in records]
    return msgspec.json.encode(
        {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": scope, "spans": spans}]}]}
    )


def _span(record: Record) -> dict[str, Any]:
    begin = int(record.started * 1e9)
    attributes: dict[str, Any] = {
        "http.request.method": record.method,
        "url.path": record.path.partition("?")[0],
        "url.scheme": record.scheme,
        "server.address": record.authority,
        "http.response.status_code": record.status,
        "http.route": record.route,
        "network.protocol.version": record.protocol.removeprefix("HTTP/"),
        "http.request.body.size": record.bytes_in,
        "http.response.body.size": record.bytes_out,
        "http.request.resend_count": max(0, record.tries - 1),
        "client.address": record.peer_address,
        "user_agent.original": record.request_header(b"user-agent"),
        "meshagent.direction": record.direction,
        "meshagent.source": record.source,
        "meshagent.destination": record.destination,
        "meshagent.upstream": record.upstream,
        "meshagent.response_flags": record.flags,
    }
    if record.grpc_status >= 0:
        attributes["rpc.grpc.status_code"] = record.grpc_status
    failed = record.status >= 500 or not record.status or record.grpc_status > 0
    span: dict[str, Any] = {
        "traceId": record.trace_id,
        "spanId": record.span_id,
        "name": f"{record.method} {record.destination}",
        "kind": _SERVER if record.direction == "inbound" else _CLIENT,
        "startTimeUnixNano": str(begin),
        "endTimeUnixNano": str(begin + int(record.duration_s * 1e9)),
        "attributes": _attributes(attributes),
        "status": {"code": _ERROR, "message": record.detail} if failed else {"code": _UNSET},
        "flags": 1,
    }
    if record.parent_id:
        span["parentSpanId"] = record.parent_id
    return span


def _attributes(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Without those that say nothing."""
    return [{"key": key, "value": _value(value)} for key, value in values.items() if value not in {"", None}]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"stringValue": str(value)}
