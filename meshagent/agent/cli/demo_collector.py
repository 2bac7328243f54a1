"""I/O edge: the traces of `meshagent demo mesh`: a small collector of OTLP over HTTP, and a trace as a tree for people.

Source: opentelemetry.io/docs/specs/otlp ("OTLP/HTTP", JSON). What may change here: what of a span is shown.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["Collector", "Span", "collector", "spans_of", "tree"]

_MAX_BODY_BYTES, _MOST_SPANS = 4 << 20, 10_000
_SERVER_KIND = 2


@dataclass(frozen=True, slots=True)
class Span:
    """One side of a request. `began` in seconds."""

    trace_id: str
    span_id: str
    parent_id: str
    began: float
    ms: float
    inbound: bool
    attributes: dict[str, str]


class Collector:
    """Keeps the spans that were sent to `url`."""

    def __init__(self) -> None:
        self.url = ""
        self.spans: list[Span] = []

    def of(self, trace_id: str) -> list[Span]:
        """The spans of one trace."""
        return [span for span in self.spans if span.trace_id == trace_id]


@contextmanager
def collector() -> Iterator[Collector]:
    """A collector on a free port of loopback, until the block is left."""
    made = Collector()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"kept": made}))
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    kept: Collector

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        status = 400
        if 0 < length <= _MAX_BODY_BYTES:
            try:
                found = spans_of(json.loads(self.rfile.read(length)))
            except (ValueError, KeyError, TypeError, AttributeError):
                found = []
            if found:
                status = 200
                self.kept.spans += found
                del self.kept.spans[:-_MOST_SPANS]
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


def spans_of(body: dict[str, Any]) -> list[Span]:
    """The spans of one request. Raises ValueError, KeyError, TypeError or AttributeError when it is none."""
    return [
        Span(
            one["traceId"],
            one["spanId"],
            one.get("parentSpanId", ""),
            int(one["startTimeUnixNano"]) / 1e9,
            (int(one["endTimeUnixNano"]) - int(one["startTimeUnixNano"])) / 1e6,
            one["kind"] == _SERVER_KIND,
            {each["key"]: next(iter(each["value"].values())) for each in one["attributes"]},
        )
        for resource in body["resourceSpans"]
        for scope in resource["scopeSpans"]
        for one in scope["spans"]
    ]


def tree(spans: list[Span]) -> list[str]:
    """A line for each span, below the one that caused it; those whose cause was not sent stand at the top."""
    known = {span.span_id for span in spans}
    lines: list[str] = []

    def add(parent: str | None, indent: str) -> None:
        found = [span for span in spans if (span.parent_id if span.parent_id in known else None) == parent]
        for at, span in enumerate(sorted(found, key=lambda span: span.began)):
            last = at == len(found) - 1
            branch = f"{indent}{'└─ ' if last else '├─ '}{_who(span)}"
            lines.append(f"{branch:<26}{_what(span)}")
            add(span.span_id, indent + ("   " if last else "│  "))

    add(None, "")
    return lines


def _who(span: Span) -> str:
    source, destination = (span.attributes.get(f"meshagent.{name}", "?") for name in ("source", "destination"))
    return f"{destination} answers {source}" if span.inbound else f"{source} asks {destination}"


def _what(span: Span) -> str:
    get = span.attributes.get
    what = f"{get('http.request.method', '')} {get('url.path', '')} -> {get('http.response.status_code', '-')}"
    again = int(get("http.request.resend_count", "0"))
    tries = f", {again + 1} tries" if again else ""
    return f"{what}  {span.ms:.1f} ms  span {span.span_id}  at {get('meshagent.upstream', '?')}{tries}"
