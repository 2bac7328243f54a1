"""A proxy before a server's HTTP port that writes down every call, and what makes the test's data of them.

    python recorder.py listen 8510 8500 calls.jsonl
    python recorder.py convert calls.jsonl ../../data/consul_k8s/calls.json

See README.md. What may change here: which parts of answers are kept.
"""

from __future__ import annotations

import http.client
import http.server
import json
import re
import sys
import threading
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

#: Programs in the order in which their tokens are first seen.
PROGRAMS = ("server-acl-init", "connect-inject", "connect-init", "sync-catalog")
_SKIPPED = {"host", "transfer-encoding", "content-length", "accept-encoding", "connection"}
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_KEPT = {"ID", "AccessorID", "SecretID", "Name", "Policies", "Roles"}
_SECRETS = {"ServiceAccountJWT": "{jwt}", "CACert": "{ca}"}
#: Of reads that were made again and again.
_WAITS = {"index", "wait", "stale", "pretty"}


def listen(port: int, upstream: int, path: str) -> None:
    """Serve for ever."""
    lock = threading.Lock()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            """Nothing: the calls are the log."""

        def relay(self) -> None:
            """One call."""
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            connection = http.client.HTTPConnection("127.0.0.1", upstream, timeout=700)
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _SKIPPED}
            connection.request(self.command, self.path, body or None, headers)
            answer = connection.getresponse()
            data = answer.read()
            row = {
                "method": self.command, "path": self.path, "token": self.headers.get("X-Consul-Token", ""),
                "body": body.decode("utf-8", "replace"), "status": answer.status,
                "answer": data.decode("utf-8", "replace"),
            }  # fmt: skip
            with lock, Path(path).open("a") as file:
                file.write(json.dumps(row) + "\n")
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in _SKIPPED:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_PUT = do_POST = do_DELETE = relay

    http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


def convert(source: str, target: str) -> None:
    """Write the calls as the test reads them."""
    rows = [json.loads(line) for line in Path(source).read_text().splitlines()]
    tokens = list(dict.fromkeys(row["token"] for row in rows if row["token"]))
    programs = dict(zip(tokens, PROGRAMS, strict=False))
    ids: dict[str, str] = {}
    seen: set[str] = set()
    written: dict[str, str] = {}
    calls: list[str] = []
    for row in rows:
        if row["status"] == 403 or row["path"].startswith("/v1/acl/bootstrap") or "CACert is req" in row["answer"]:
            continue
        call = _call(row, programs[row["token"]])
        text = json.dumps(call, separators=(",", ":"))
        if row["method"] == "GET":
            if text in seen:
                continue
            seen.add(text)
        else:
            service = (call.get("body") or {}).get("Service")
            place = f"{call['path']} {service.get('ID', '')}" if isinstance(service, dict) else text
            if written.get(place) == text:
                continue
            written[place] = text
        calls.append(_UUID.sub(lambda found: _counted(found.group(), ids), text))
    Path(target).write_text("[\n" + ",\n".join(calls) + "\n]\n")


def _call(row: dict[str, Any], program: str) -> dict[str, Any]:
    parts = urlsplit(row["path"])
    query = "&".join(f"{name}={quote(value)}" for name, value in parse_qsl(parts.query, True) if name not in _WAITS)
    call: dict[str, Any] = {"as": program, "method": row["method"], "path": parts.path + (f"?{query}" if query else "")}
    if row["body"]:
        call["body"] = _without_secrets(json.loads(row["body"]))
    call["status"] = row["status"]
    if row["status"] >= 400:
        call["answer"] = row["answer"]
    elif row["path"].startswith("/v1/acl/"):
        call["answer"] = _slim(json.loads(row["answer"]))
    return call


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _SECRETS.get(key) or _without_secrets(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_secrets(inner) for inner in value]
    return value


def _slim(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _slim(inner) for key, inner in value.items() if key in _KEPT}
    return [_slim(inner) for inner in value] if isinstance(value, list) else value


def _counted(uuid: str, ids: dict[str, str]) -> str:
    if uuid.startswith("00000000-0000-0000-0000-"):
        return uuid
    return ids.setdefault(uuid, f"00000000-0000-4000-8000-{len(ids) + 1:012d}")


if __name__ == "__main__":
    if sys.argv[1] == "listen":
        listen(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
    else:
        convert(sys.argv[2], sys.argv[3])
