"""I/O edge: small HTTP servers for checks and proxies to talk to: each says its name, and its health can be changed."""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Iterator, Sequence


class Backend:
    """`GET` answers the backend's name with `status`; set `.status` to 503 to make its checks fail."""

    def __init__(self, name: str, address: str = "127.0.0.1", port: int = 0) -> None:
        self.name = name
        self.status = 200
        self.hits = 0
        backend = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                backend.hits += 1
                body = backend.name.encode()
                self.send_response(backend.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

        self._server = http.server.ThreadingHTTPServer((address, port), Handler)
        self._server.daemon_threads = True
        self.address = address
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def backends(*names: str, addresses: Sequence[str] = ()) -> Iterator[list[Backend]]:
    """Servers on free ports of 127.0.0.1; with `addresses` (127.0.0.2 ...) all on one port, one address each."""
    made: list[Backend] = []
    try:
        for at, name in enumerate(names):
            made.append(Backend(name, addresses[at], made[0].port if made else 0) if addresses else Backend(name))
        yield made
    finally:
        for one in made:
            one.close()
