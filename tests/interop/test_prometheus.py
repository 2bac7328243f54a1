"""Prometheus discovers our services: targets appear, carry our labels, and disappear (surface A1, CT5, HL3, V3).

Debian's prometheus is built without `consul_sd_configs`. So Prometheus' own discovery, built from its Go module, asks
us and hands the targets to Debian's prometheus, which scrapes them, and our metrics too.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from meshtest.backends import backends
from meshtest.clients import http_request
from meshtest.peers import built, program, running
from meshtest.process import AgentProcess, free_ports
from meshtest.register import http_checked, register

SD_CONFIG = """
server: 127.0.0.1:{consul}
refresh_interval: 1s
"""
CONFIG = """
global:
  scrape_interval: 1s
scrape_configs:
  - job_name: consul
    file_sd_configs:
      - files: ["{targets}"]
        refresh_interval: 1s
    relabel_configs:
      - source_labels: [sd__meta_consul_service]
        regex: web|db
        action: keep
  - job_name: agent
    metrics_path: /v1/agent/metrics
    params:
      format: [prometheus]
    static_configs:
      - targets: ["127.0.0.1:{consul}"]
"""
TELEMETRY = {"telemetry": {"prometheus_retention_time": "60s", "disable_hostname": True}}


@pytest.mark.timeout(150)
def test_targets_follow_the_catalog(tmp_path: Path) -> None:
    ports = free_ports(["web"])
    with AgentProcess.server(TELEMETRY) as agent, backends("b1", "b2") as (one, two):
        sd_config, config, targets_path = (tmp_path / name for name in ("sd.yml", "prometheus.yml", "targets.json"))
        sd_config.write_text(SD_CONFIG.format(consul=agent.ports["http"]))
        config.write_text(CONFIG.format(consul=agent.ports["http"], targets=targets_path))
        argv = [
            program("prometheus"),
            f"--config.file={config}",
            f"--storage.tsdb.path={tmp_path / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{ports['web']}",
        ]
        with (
            running([built("consul-sd"), str(sd_config), str(targets_path)], tmp_path),
            running(argv, tmp_path, port=ports["web"], within_s=60.0) as prometheus,
        ):

            def targets(job: str = "consul") -> dict[str, Any]:
                answer = http_request(("127.0.0.1", ports["web"]), "GET", "/api/v1/targets?state=active")
                assert answer.status == 200
                active = json.loads(answer.body)["data"]["activeTargets"]
                return {one["scrapeUrl"]: one for one in active if one["scrapePool"] == job}

            register(agent, http_checked(one, Tags=["v1"], Meta={"team": "a"}))
            url_one, url_two = (f"http://127.0.0.1:{backend.port}/metrics" for backend in (one, two))
            prometheus.wait("the first target", lambda: set(targets()) == {url_one}, within_s=60.0)
            labels = {
                name.removeprefix("sd__meta_consul_"): text for name, text in targets()[url_one]["labels"].items()
            }
            assert labels["service"] == "web"
            assert labels["service_id"] == "b1"
            assert labels["tags"] == ",v1,"
            assert labels["service_metadata_team"] == "a"
            assert labels["node"] == "n1"
            assert labels["dc"] == "dc1"
            prometheus.wait(
                "health is told",
                lambda: targets()[url_one]["labels"]["sd__meta_consul_health"] == "passing",
                within_s=60.0,
            )
            register(agent, http_checked(two, name="db"))
            prometheus.wait("the second target", lambda: set(targets()) == {url_one, url_two}, within_s=60.0)
            agent.put("/v1/agent/service/deregister/b1")
            prometheus.wait("the first has left", lambda: set(targets()) == {url_two}, within_s=60.0)

            def scraped() -> bool:
                return [one["health"] for one in targets("agent").values()] == ["up"]

            prometheus.wait("our own metrics are scraped", scraped, within_s=60.0)
