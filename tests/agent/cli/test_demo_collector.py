"""The collector of the demo: what sidecars send, as a tree."""

from __future__ import annotations

import http.client
import json

import pytest

from meshagent.agent.cli.demo_collector import Collector, Span, collector, tree
from meshagent.connect.proxy.telemetry.otlp import encode
from meshagent.connect.proxy.telemetry.record import Record

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def record(direction: str, span: str, parent: str, duration_s: float, **more: object) -> Record:
    return Record(
        direction, "web", "api", "", 1000.0, duration_s, status=200, method="GET", path="/x", trace_id=TRACE,
        span_id=span, parent_id=parent, upstream="10.0.0.1:80", **more,  # type: ignore[arg-type]
    )  # fmt: skip


def post(url: str, body: bytes) -> int:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    try:
        connection.request("POST", "/v1/traces", body)
        return connection.getresponse().status
    finally:
        connection.close()


def test_what_two_sidecars_send_is_one_tree() -> None:
    with collector() as kept:
        inner = encode([record("inbound", "b" * 16, "a" * 16, 0.0005)], "api", "api-1", "0")
        outer = encode([record("outbound", "a" * 16, "f" * 16, 0.002, tries=2)], "web", "web-1", "0")
        assert [post(kept.url, body) for body in (inner, outer)] == [200, 200]
        assert kept.of("other") == []
        first, second = tree(kept.of(TRACE))
    assert first == f"└─ web asks api           GET /x -> 200  2.0 ms  span {'a' * 16}  at 10.0.0.1:80, 2 tries"
    assert second == f"   └─ api answers web     GET /x -> 200  0.5 ms  span {'b' * 16}  at 10.0.0.1:80"


@pytest.mark.parametrize("body", [b"", b"{", b"{}", b"[]", b"1", json.dumps({"resourceSpans": [{}]}).encode()])
def test_what_is_none_is_refused(body: bytes) -> None:
    with collector() as kept:
        assert post(kept.url, body) == 400
    assert kept.spans == []


def test_spans_side_by_side_and_without_a_cause() -> None:
    def span(own: str, parent: str, began: float) -> Span:
        return Span(TRACE, own, parent, began, 1.0, False, {})

    lines = tree([span("c", "a", 3.0), span("b", "a", 2.0), span("a", "gone", 1.0), span("d", "b", 2.5)])
    assert [line.partition("?")[0] for line in lines] == ["└─ ", "   ├─ ", "   │  └─ ", "   └─ "]
    assert tree([]) == []
    assert Collector().of(TRACE) == []
