"""The charts of the web page against a real Prometheus that scrapes real sidecars (G25, IN5).

The page's own script asks (`prometheus.js`, in node), through the agent's metrics proxy.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from meshtest import ROOT
from meshtest.httpapp import HttpApp, ask
from meshtest.peers import Peer, program, running
from meshtest.process import AgentProcess, free_ports
from meshtest.sidecars import Echo, exchange, free_port, sidecars

SCRIPT = """
import { prometheus } from "./prometheus.mjs";
const [base, name, protocol] = process.argv.slice(2);
const ask = async (path, query) => {
  const address = new URL(`${base}/v1/internal/ui/metrics-proxy${path}`);
  for (const [key, value] of Object.entries(query)) address.searchParams.set(key, value);
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()} ${query.query}`);
  return answer.json();
};
const provider = prometheus({ rate_window: "1m" }, ask);
const { upstreams, downstreams } = await provider.edges(name, protocol);
const [up, down] = [upstreams, downstreams].map((found) => Object.fromEntries(found));
console.log(JSON.stringify({ ...(await provider.service(name, protocol)), upstreams: up, downstreams: down }));
"""
CONFIG = """
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: sidecars
    static_configs: [{{targets: {targets}}}]
"""


class Charts:
    """What the page's script finds for a service."""

    def __init__(self, folder: Path, base: str, peer: Peer) -> None:
        (folder / "prometheus.mjs").write_text((ROOT / "meshagent/agent/ui/prometheus.js").read_text())
        (folder / "ask.mjs").write_text(SCRIPT)
        self.folder, self.base, self._peer = folder, base, peer

    def wait(self, what: str, condition: Callable[[], bool]) -> None:
        """A rate needs two scrapes before a step that the page asks for; both come, the traffic goes on."""
        self._peer.wait(what, condition, within_s=120.0)

    def of(self, name: str, protocol: str) -> dict[str, Any]:
        done = subprocess.run(
            [program("node"), "ask.mjs", self.base, name, protocol],
            cwd=self.folder, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found


def latest(charts: list[dict[str, Any]]) -> dict[str, float]:
    """The last value of each chart that has one."""
    return {one["label"]: one["points"][-1][1] for one in charts if one.get("points")}


@pytest.fixture(scope="module")
def charts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Charts]:
    folder = tmp_path_factory.mktemp("charts")
    port = free_ports(["prometheus"])["prometheus"]
    proxy = {"base_url": f"http://127.0.0.1:{port}"}
    config = {"ui_config": {"enabled": True, "metrics_provider": "prometheus", "metrics_proxy": proxy}}
    with AgentProcess.server(config) as agent, sidecars(agent, folder) as mesh:
        agent.wait("CA roots", lambda: agent.get("/v1/connect/ca/roots")["Roots"])
        for name in ("web", "api"):
            entry = {"Kind": "service-defaults", "Name": name, "Protocol": "http"}
            assert agent.put("/v1/config", entry).status == 200
        api, db = free_port(), free_port()
        mesh.register("api", HttpApp("api").port)
        mesh.register("db", Echo().port)
        mesh.register("web", free_port(), {"api": api, "db": db})
        shown = [f"127.0.0.1:{free_port()}" for _ in range(3)]
        for name, place in zip(("api", "db", "web"), shown, strict=True):
            mesh.start(name, "-metrics-bind", place)
        scraped = folder / "prometheus.yml"
        scraped.write_text(CONFIG.format(targets=json.dumps(shown)))
        argv = [
            program("prometheus"), f"--config.file={scraped}", f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]  # fmt: skip
        with running(argv, folder, port=port) as peer:
            found = Charts(folder, agent.url, peer)
            stop = threading.Event()

            def drive() -> None:
                turn = 0
                while not stop.wait(0.05):
                    turn += 1
                    with contextlib.suppress(OSError, http.client.HTTPException):
                        ask(api, "/status/503" if turn % 4 == 0 else "/x")
                        exchange(db)

            thread = threading.Thread(target=drive)
            thread.start()
            try:
                yield found
            finally:
                stop.set()
                thread.join()


@pytest.mark.timeout(400)
def test_a_service_of_http(charts: Charts) -> None:
    def shown() -> bool:
        found = charts.of("api", "http")
        figures = latest(found["charts"])
        return (
            figures.get("Requests", 0) > 0
            and 0 < figures.get("Errors", 0) < 100
            and figures.get("Latency, 99 of 100", 0) > 0
            and set(found["downstreams"]) == {"web"}
            and found["upstreams"] == {}
            and latest(found["downstreams"]["web"]).get("Requests", 0) > 0
        )

    charts.wait("api's figures, and web as its caller", shown)


@pytest.mark.timeout(400)
def test_the_edges_of_a_caller(charts: Charts) -> None:
    def shown() -> bool:
        found = charts.of("web", "http")
        return (
            latest(found["charts"]) == {}
            and set(found["upstreams"]) == {"api", "db"}
            and 0 < latest(found["upstreams"]["api"]).get("Errors", 0) < 100
            and set(latest(found["upstreams"]["db"])) == {"Connections"}
        )

    charts.wait("what web calls", shown)


@pytest.mark.timeout(400)
def test_a_service_of_tcp(charts: Charts) -> None:
    def shown() -> bool:
        figures = latest(charts.of("db", "tcp")["charts"])
        return all(figures.get(name, 0) > 0 for name in ("Connections", "Received", "Sent"))

    charts.wait("db's figures", shown)
