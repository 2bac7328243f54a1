"""Prometheus' `consul_sd_configs` on our HTTP API: targets appear, carry our labels, and disappear (A1, CT4, HL3)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from meshtest.backends import backends
from meshtest.clients import http_request
from meshtest.peers import program, running
from meshtest.process import AgentProcess, free_ports
from meshtest.register import http_checked, register

CONFIG = """
global:
  scrape_interval: 1s
scrape_configs:
  - job_name: services
    consul_sd_configs:
      - server: 127.0.0.1:{consul}
        refresh_interval: 1s
    relabel_configs:
      - source_labels: [__meta_consul_service]
        regex: web|db
        action: keep
  - job_name: agent
    metrics_path: /v1/agent/metrics
    params:
      format: [prometheus]
    static_configs:
      - targets: ["127.0.0.1:{consul}"]
"""


@pytest.mark.timeout(150)
def test_targets_follow_the_catalog(tmp_path: Path) -> None:
    ports = free_ports(["web"])
    telemetry = {"telemetry": {"prometheus_retention_time": "60s", "disable_hostname": True}}
    with AgentProcess.server(telemetry) as agent, backends("b1", "b2") as (one, two):
        config = tmp_path / "prometheus.yml"
        config.write_text(CONFIG.format(consul=agent.ports["http"]))
        argv = [
            program("prometheus"),
            f"--config.file={config}",
            f"--storage.tsdb.path={tmp_path / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{ports['web']}",
        ]
        with running(argv, tmp_path, port=ports["web"], within_s=40) as prometheus:

            def targets(job: str = "services") -> dict[str, Any]:
                answer = http_request(("127.0.0.1", ports["web"]), "GET", "/api/v1/targets?state=active")
                assert answer.status == 200
                active = json.loads(answer.body)["data"]["activeTargets"]
                return {one["scrapeUrl"]: one for one in active if one["scrapePool"] == job}

            register(agent, http_checked(one, Tags=["v1"], Meta={"team": "a"}))
            url_one, url_two = (f"http://127.0.0.1:{backend.port}/metrics" for backend in (one, two))
            prometheus.wait("the first target", lambda: set(targets()) == {url_one}, within_s=30)
            labels = targets()[url_one]["discoveredLabels"]
            assert labels["__meta_consul_service"] == "web"
            assert labels["__meta_consul_tags"] == ",v1,"
            assert labels["__meta_consul_service_metadata_team"] == "a"
            assert labels["__meta_consul_node"] == "n1"
            assert labels["__meta_consul_dc"] == "dc1"
            register(agent, http_checked(two, name="db"))
            prometheus.wait("the second target", lambda: set(targets()) == {url_one, url_two}, within_s=30)
            agent.put("/v1/agent/service/deregister/b1")
            prometheus.wait("the first has left", lambda: set(targets()) == {url_two}, within_s=30)

            def scraped() -> bool:
                return all(one["health"] == "up" for one in targets("agent").values())

            prometheus.wait("our own metrics are scraped", scraped, within_s=30)
