"""I/O edge: a proxy in front of an agent that keeps what a tool asks, and the shape of what it was answered.

A recording is replayed by tests/interop/test_tool_calls.py. Indexes, waits and sessions differ from run to run: the
first two are left out, a session is called `{session}`. What may change here: what else differs.
"""

from __future__ import annotations

import http.client
import http.server
import json
import re
import threading
from typing import Any
from urllib.parse import urlsplit

__all__ = ["CallRecorder", "shape"]

_MOVES = re.compile(r"(?<=[?&])(index|wait|hash)=[^&]*&?")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_HEADERS = ("Content-Type", "X-Consul-Index", "X-Consul-Query-Backend", "X-Cache", "Age", "Location")


def shape(body: bytes) -> Any:
    """The names of a JSON object, or of the first of a list; the type of anything else; None for no JSON."""
    try:
        held = json.loads(body)
    except ValueError:
        return None
    first = held[0] if isinstance(held, list) and held else held
    return sorted(first) if isinstance(first, dict) else type(first).__name__


class _Quiet(http.server.ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A tool that ends in the middle of a blocking query is no error."""


class CallRecorder:
    """`calls` in order of their answers, each once."""

    def __init__(self, agent: tuple[str, int]) -> None:
        self.calls: list[dict[str, Any]] = []
        recorder = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def forward(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                onward = http.client.HTTPConnection(*agent, timeout=700)
                headers = {name: value for name, value in self.headers.items() if name.lower() != "accept-encoding"}
                onward.request(self.command, self.path, body=body, headers=headers)
                answer = onward.getresponse()
                told = answer.read()
                recorder.keep(self.command, self.path, body, answer.status, told)
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name in _HEADERS or name.startswith("X-Consul"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(told)))
                self.end_headers()
                self.wfile.write(told)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = forward

            def log_message(self, *_: Any) -> None: ...

        self.server = _Quiet(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port: int = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def keep(self, method: str, path: str, body: bytes, status: int, told: bytes) -> None:
        """One call, unless it was made before."""
        if urlsplit(path).path == "/v1/session/create" and status == 200:
            shown: Any = "session"
        else:
            shown = shape(told)
        call = {
            "method": method,
            "path": _UUID.sub("{session}", _MOVES.sub("", path)).rstrip("?&"),
            "body": _UUID.sub("{session}", body.decode("utf-8", "replace")),
            "status": status,
            "shape": shown,
        }
        same = [one for one in self.calls if all(one[key] == call[key] for key in ("method", "path"))]
        if "index=" in path and same:
            return  # it waited for a change that is answered after it
        if not any(all(one[key] == call[key] for key in ("status", "shape")) for one in same):
            self.calls.append(call)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
