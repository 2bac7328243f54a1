"""I/O edge: one tiny web service of `meshagent demo`: greets on `/`, is healthy on `/health`.

On `/count` it tells how often it greeted, on `/trace` the headers it was sent; `/break` makes it answer 503 in place of
a greeting until `/mend`.

Run as `python -m meshagent.agent.cli.demo_service NAME PORT`. It ends when its standard input does, that is when the
demo is gone, however that ended.
"""

from __future__ import annotations

import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["serve"]


class _Handler(BaseHTTPRequestHandler):
    name = ""
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # one write an answer: two would wait for each other
    broken = False
    greeted = 0

    def do_GET(self) -> None:
        own = type(self)
        status, text = 200, "ok"
        if self.path in ("/break", "/mend"):
            own.broken = self.path == "/break"
        elif self.path == "/trace":
            text = "\n".join(f"{name}: {value}" for name, value in self.headers.items())
        elif self.path == "/count":
            text = str(own.greeted)
        elif self.path != "/health":
            own.greeted += 1
            status, text = (503, f"{self.name} is broken") if own.broken else (200, f"hello from {self.name}")
        body = f"{text}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: checks come every few seconds."""


def serve(name: str, port: int) -> ThreadingHTTPServer:
    """A server on 127.0.0.1:`port`, ready for `serve_forever`."""
    return ThreadingHTTPServer(("127.0.0.1", port), type("Handler", (_Handler,), {"name": name}))


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    serve(sys.argv[1], int(sys.argv[2])).serve_forever()
