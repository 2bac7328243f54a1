"""I/O edge: one tiny web service of `meshagent demo`: greets on `/`, is healthy on `/health`.

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

    def do_GET(self) -> None:
        body = b"ok\n" if self.path == "/health" else f"hello from {self.name}\n".encode()
        self.send_response(200)
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
