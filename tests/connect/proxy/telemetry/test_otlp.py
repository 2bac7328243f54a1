"""Spans as OTLP/JSON."""

from __future__ import annotations

import json
from typing import Any

from meshagent.connect.proxy.telemetry.otlp import encode
from meshagent.connect.proxy.telemetry.record import Record


def span(**more: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "status": 200,
        "method": "GET",
        "path": "/a?secret=1",
        "trace_id": "ab" * 16,
        "span_id": "cd" * 8,
    }
    record = Record("inbound", "web", "api", "r", 1_700_000_000.5, 0.25, **{**given, **more})
    body = json.loads(encode([record], "api", "api-sidecar-proxy", "1.0"))
    (resource,) = body["resourceSpans"]
    assert {"key": "service.name", "value": {"stringValue": "api"}} in resource["resource"]["attributes"]
    (scope,) = resource["scopeSpans"]
    found: dict[str, Any] = scope["spans"][0]
    return found


def test_ids_times_and_kind() -> None:
    found = span(parent_id="ef" * 8)
    assert (found["traceId"], found["spanId"], found["parentSpanId"]) == ("ab" * 16, "cd" * 8, "ef" * 8)
    assert (found["startTimeUnixNano"], found["endTimeUnixNano"]) == ("1700000000500000000", "1700000000750000000")
    assert (found["kind"], found["status"], found["name"]) == (2, {"code": 0}, "GET api")
    assert "parentSpanId" not in span()


def test_attributes_keep_types_and_leave_queries_out() -> None:
    attributes = {one["key"]: one["value"] for one in span()["attributes"]}
    assert attributes["http.response.status_code"] == {"intValue": "200"}
    assert attributes["url.path"] == {"stringValue": "/a"}
    assert "user_agent.original" not in attributes


def test_failures() -> None:
    assert span(status=503, detail="why")["status"] == {"code": 2, "message": "why"}
    assert span(status=0)["status"]["code"] == 2
    assert span(grpc_status=14)["status"]["code"] == 2
    assert span(status=404)["status"]["code"] == 0
