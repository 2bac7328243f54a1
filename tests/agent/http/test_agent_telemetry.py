"""Surface rows A22-A24: figures and log lines over HTTP."""

import asyncio
import dataclasses
import json
import logging

import pytest

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


async def test_a22_the_last_interval_as_json(live):
    live.agent.metrics.gauge("some.level", 3)
    shown = await live.get("/v1/agent/metrics")
    assert {"Timestamp", "Gauges", "Points", "Counters", "Samples"} <= set(shown)
    assert "consul.some.level" in {gauge["Name"] for gauge in shown["Gauges"]}


@pytest.mark.parametrize(
    ("query", "accept", "prometheus"),
    [
        ("?format=prometheus", "", True),
        ("", "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", True),
        ("", "text/plain; version=0.0.4", True),
        ("", "text/plain", False),
        ("?format=zork", "*/*", False),
    ],
)
async def test_a22_who_gets_prometheus_text(live, query, accept, prometheus):
    metrics = live.agent.metrics
    metrics.settings = dataclasses.replace(metrics.settings, prometheus_retention_s=60.0)
    answer = await live.ask("GET", f"/v1/agent/metrics{query}", headers={"Accept": accept})
    assert (answer.headers["content-type"] == PROMETHEUS) is prometheus


async def test_a22_prometheus_is_off_without_a_retention_time(live):
    answer = await live.ask("GET", "/v1/agent/metrics?format=prometheus")
    reason = "Prometheus is not enabled since its retention time is not positive"
    assert (answer.status, answer.body, answer.headers["x-consul-reason"]) == (200, b"", reason)


async def test_a23_each_interval_is_a_line(live):
    metrics = live.agent.metrics
    metrics.tick(live.clock.now())
    stream = (await live.ask("GET", "/v1/agent/metrics/stream")).stream
    chunks = stream.chunks
    first = asyncio.ensure_future(anext(chunks))
    await live.clock.advance(10)
    metrics.tick(live.clock.now())
    line = await first
    assert line.endswith(b"\n")
    assert "Gauges" in json.loads(line)
    for _ in range(20):  # a reader that does not read keeps the newest
        await live.clock.advance(10)
        metrics.tick(live.clock.now())
    assert json.loads(await anext(chunks))["Timestamp"] > json.loads(line)["Timestamp"]
    await chunks.aclose()


async def test_a24_lines_come_as_they_are_logged(live):
    logger = logging.getLogger("live.test-monitor")
    live.agent.logs.attach(logger)
    stream = (await live.ask("GET", "/v1/agent/monitor?loglevel=debug&logjson=true")).stream
    first = asyncio.ensure_future(anext(stream.chunks))
    await asyncio.sleep(0)
    logger.debug("hello")
    assert json.loads(await first)["@message"] == "hello"
    await stream.chunks.aclose()
    live.agent.logs.detach()


async def test_a24_an_unknown_level_is_refused(live):
    answer = await live.ask("GET", "/v1/agent/monitor?loglevel=zz&logjson=zz")
    assert (answer.status, answer.text) == (400, "Unknown log level: zz")
