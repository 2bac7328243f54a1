"""A stub of an agent's HTTP API: canned answers, and what was asked."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from meshagent.agent.cli import main


@dataclass
class Asked:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class StubAgent:
    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    answers: dict[tuple[str, str], tuple[int, bytes]] = field(default_factory=dict)
    cut: int = 0
    """So many bytes are missing at the end of each answer."""

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def answer(self, path: str, value: Any = None, *, method: str = "GET", status: int = 200) -> None:
        """`value` is JSON, or bytes as they are."""
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.answers[method, f"/v1/{path}"] = (status, body)

    @property
    def last(self) -> Asked:
        return self.asked[-1]


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[StubAgent]:
    agent = StubAgent()

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = unquote(parts.path)
            query = dict(parse_qsl(parts.query, keep_blank_values=True))
            agent.asked.append(Asked(self.command, path, query, dict(self.headers), body))
            status, answer = agent.answers.get((self.command, path), (404, b"no such answer"))
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer[: len(answer) - agent.cut])

        do_GET = do_PUT = do_POST = do_DELETE = handle_any

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    agent.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    for name in ("TOKEN", "TOKEN_FILE", "AUTH", "SSL", "SSL_VERIFY"):
        monkeypatch.delenv(f"CONSUL_HTTP_{name}", raising=False)
    monkeypatch.setenv("CONSUL_HTTP_ADDR", agent.address)
    yield agent
    server.shutdown()
    server.server_close()
    thread.join()


@dataclass
class Ran:
    status: int
    out: str
    err: str


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run a command line: `cli("kv get foo")` or `cli("kv", "put", "a", "two words")`."""

    def run(*words: str) -> Ran:
        capsys.readouterr()
        status = main(words[0].split() if len(words) == 1 else words)
        out, err = capsys.readouterr()
        return Ran(status, out, err)

    return run
