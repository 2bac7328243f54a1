"""What real sidecars tell: metrics, access logs, traces at a collector, tap, top, suggestions; rate limits on the way.

Surface rows M22, M73; issue "Observability", "rate limits", "intention suggest".
"""

from __future__ import annotations

import http.server
import json
import re
import signal
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from meshtest.httpapp import ask, http_app
from meshtest.process import AgentProcess, meshagent_command
from meshtest.sidecars import Echo, Sidecars, exchange, free_port, sidecars


class Collector:
    """An OTLP collector that keeps what it gets; its first answer is 503."""

    def __init__(self) -> None:
        outer = self
        self.spans: list[dict[str, Any]] = []
        self.asked: list[tuple[str, str, str]] = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.asked.append((self.path, self.headers["Content-Type"], self.headers.get("X-Key", "")))
                if len(outer.asked) > 1:
                    for resource in json.loads(body)["resourceSpans"]:
                        outer.spans += [span for scope in resource["scopeSpans"] for span in scope["spans"]]
                self.send_response(503 if len(outer.asked) == 1 else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Mesh:
    """web -> api with HTTP, web -> db with TCP; everything that can be told is told."""

    def __init__(self, agent: AgentProcess, running: Sidecars, app_port: int, folder: Path) -> None:
        self.agent, self.running, self.collector = agent, running, Collector()
        self.log = folder / "access.log"
        self.api, self.db, self.metrics = free_port(), free_port(), free_port()
        agent.wait("CA roots", lambda: agent.get("/v1/connect/ca/roots")["Roots"])
        self.write(
            Kind="proxy-defaults", Name="global",
            AccessLogs={"Enabled": True, "Type": "file", "Path": str(self.log)},
            Config={"otlp_endpoint": self.collector.url, "otlp_headers": {"X-Key": "k"}},
        )  # fmt: skip
        route = {"PathPrefix": "/limited", "RequestsPerSecond": 0.001, "RequestsMaxBurst": 2}
        self.write(
            Kind="service-defaults", Name="api", Protocol="http", RateLimits={"InstanceLevel": {"Routes": [route]}}
        )
        running.register("api", app_port)
        running.register("db", Echo().port)
        running.register("web", free_port(), {"api": self.api, "db": self.db})
        running.start("api", "-metrics-bind", f"127.0.0.1:{self.metrics}")
        running.start("db")
        running.start("web")
        agent.wait("a first answer", lambda: ask(self.api, "/first").status == 200, within_s=60)
        agent.wait("a first exchange", lambda: exchange(self.db) == b"hello", within_s=60)

    def write(self, **entry: Any) -> None:
        answer = self.agent.put("/v1/config", entry)
        assert answer.status == 200, answer

    def scraped(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics}/metrics", timeout=30) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            found: str = answer.read().decode()
            return found

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def await_(self, what: str, condition: Any) -> None:
        self.agent.wait(what, condition, within_s=60)


@pytest.fixture(scope="module")
def mesh(module_agent: AgentProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    folder: Path = tmp_path_factory.mktemp("told")
    with http_app("api") as app, sidecars(module_agent, folder) as running:
        yield Mesh(module_agent, running, app.port, folder)


def test_prometheus_reads_golden_signals_and_tls(mesh: Mesh) -> None:
    ask(mesh.api, "/status/500")
    text = mesh.scraped()
    edge = 'direction="inbound",source="web",destination="api"'
    requests = rf"requests_total\{{[^}}]*{edge}[^}}]*"
    for wanted in (
        rf'{requests}class="2xx"\}} \d',
        rf'{requests}class="5xx"\}} \d',
        rf'request_duration_seconds_bucket\{{[^}}]*{edge}[^}}]*le="\+Inf"\}} \d',
        r'handshakes_total\{[^}]*outcome="accepted"\} [1-9]',
    ):
        assert re.search(wanted, text), f"{wanted}\n{text}"
    match = re.search(r"leaf_expiry_seconds\{[^}]*\} ([0-9.]+)", text)
    assert match is not None
    assert 60 * 3600 < float(match[1]) <= 72 * 3600 + 60
    with pytest.raises(urllib.error.HTTPError):  # the address for everybody tells nothing else
        urllib.request.urlopen(f"http://127.0.0.1:{mesh.metrics}/edges", timeout=30)


def test_access_logs_have_consuls_fields(mesh: Mesh) -> None:
    ask(mesh.api, "/logged?x=1", headers={"User-Agent": "me"})
    mesh.await_("both sides' lines", lambda: sum(one["path"] == "/logged?x=1" for one in mesh.lines()) == 2)
    one = next(line for line in mesh.lines() if line["path"] == "/logged?x=1")
    assert (one["method"], one["response_code"], one["protocol"], one["user_agent"]) == ("GET", 200, "HTTP/1.1", "me")
    assert one["upstream_host"]
    mesh.log.rename(f"{mesh.log}.1")  # a rotation
    ask(mesh.api, "/rotated")
    mesh.await_("a new file", lambda: any(line["path"] == "/rotated" for line in mesh.lines()))
    assert mesh.log.stat().st_mode & 0o777 == 0o600


def test_a_trace_reaches_the_collector_from_both_sidecars(mesh: Mesh) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    ask(mesh.api, "/traced", headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    seen = lambda: [span for span in mesh.collector.spans if span["traceId"] == trace]  # noqa: E731
    mesh.await_("two spans", lambda: len(seen()) == 2)
    outbound, inbound = sorted(seen(), key=lambda span: span["kind"], reverse=True)
    assert outbound["parentSpanId"] == "00f067aa0ba902b7"
    assert inbound["parentSpanId"] == outbound["spanId"]
    assert ("/v1/traces", "application/json", "k") in mesh.collector.asked


def test_tap_shows_requests_as_they_happen(mesh: Mesh) -> None:
    line = [*meshagent_command(), "tap", "-json", "-path", "/tapped", "-max", "2", "api"]
    with subprocess.Popen(line, env=mesh.running.environ, stdout=subprocess.PIPE, text=True) as tap:
        try:
            ended = threading.Event()

            def load() -> None:
                while not ended.is_set():
                    ask(mesh.api, "/other")
                    ask(mesh.api, "/tapped/1")
                    ended.wait(0.05)

            worker = threading.Thread(target=load)
            worker.start()
            try:
                out, _ = tap.communicate(timeout=60)
            finally:
                ended.set()
                worker.join()
        finally:
            tap.kill()
    found = [json.loads(one) for one in out.splitlines()]
    assert len(found) == 2
    assert {(one["direction"], one["source"], one["path"], one["status"]) for one in found} == {
        ("inbound", "web", "/tapped/1", 200)
    }


def test_top_shows_edges(mesh: Mesh) -> None:
    ended = threading.Event()

    def load() -> None:
        while not ended.is_set():
            ask(mesh.api, "/busy")

    worker = threading.Thread(target=load)
    worker.start()
    try:
        found = json.loads(mesh.running.run("top", "-once", "-json", "-interval", "500ms"))
        text = mesh.running.run("top", "-once", "-interval", "500ms", "web")
    finally:
        ended.set()
        worker.join()
    busy = {(row["direction"], row["source"], row["destination"]): row for row in found}
    assert busy["inbound", "web", "api"]["requests_per_s"] > 0
    assert busy["outbound", "web", "api"]["p50_ms"] > 0
    assert ("inbound", "web", "db") in busy
    assert text.split()[:3] == ["SIDE", "SOURCE", "DESTINATION"]


def test_troubleshoot_finds_nothing_wrong_and_then_what_is(mesh: Mesh) -> None:
    agent = ("-http-addr", mesh.agent.url, "-proxy-id", "web-sidecar-proxy")
    assert mesh.running.run("troubleshoot", "upstreams", *agent).splitlines()[1:3] == ["api", "db"]
    told = mesh.running.run("troubleshoot", "proxy", *agent, "-upstream-envoy-id", "db")
    assert f'✓ Listener for upstream "db" found at 127.0.0.1:{mesh.db}' in told
    assert "✓ The sidecar answers" in told
    assert "!" not in told
    mesh.running.intention("web", "db", "deny")
    line = [*meshagent_command(), "troubleshoot", "proxy", *agent, "-upstream-envoy-id", "db"]
    done = subprocess.run(line, env=mesh.running.environ, capture_output=True, text=True, timeout=60, check=False)
    mesh.running.intention("web", "db", "allow")
    assert done.returncode == 1
    assert "! Intentions do not allow web to talk to db" in done.stdout


def test_a_route_over_its_rate_is_told_so(mesh: Mesh) -> None:
    answers = [ask(mesh.api, "/limited") for _ in range(4)]
    assert [one.status for one in answers] == [200, 200, 429, 429]
    assert answers[2].headers["x-envoy-ratelimited"] == "true"
    assert answers[2].headers["x-ratelimit-limit"] == "2"
    assert ask(mesh.api, "/unlimited").status == 200
    assert re.search(r'response_flags_total\{[^}]*flag="RL"\} 2', mesh.scraped())


def test_the_least_is_suggested_and_holds(mesh: Mesh, tmp_path: Path) -> None:
    out = mesh.running.run("intention", "suggest", "-deny-others", "-out", str(tmp_path))
    assert len(out.splitlines()) == 2
    for name in ("api", "db"):
        entry = json.loads((tmp_path / f"service-intentions-{name}.json").read_text())
        assert [(one["Name"], one["Action"]) for one in entry["Sources"]] == [("web", "allow"), ("*", "deny")]
        mesh.write(**entry)
    assert ask(mesh.api, "/still").status == 200
    assert exchange(mesh.db) == b"hello"


def test_a_sidecar_that_ends_takes_its_socket_away(mesh: Mesh) -> None:
    process = mesh.running.processes["db"]
    place = mesh.running.place / "db-sidecar-proxy.sock"
    assert place.is_socket()
    assert place.stat().st_mode & 0o777 == 0o600
    process.send_signal(signal.SIGTERM)
    process.wait(60)
    assert not place.exists()
