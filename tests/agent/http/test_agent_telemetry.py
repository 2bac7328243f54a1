"""Surface rows A22-A24: figures and log lines over HTTP."""

import asyncio
import dataclasses
import json
import logging

import pytest

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


async def test_a22_the_last_interval_as_json(agent):
    agent.agent.metrics.gauge("some.level", 3)
    shown = await agent.get("/v1/agent/metrics")
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
async def test_a22_who_gets_prometheus_text(agent, query, accept, prometheus):
    metrics = agent.agent.metrics
    metrics.settings = dataclasses.replace(metrics.settings, prometheus_retention_s=60.0)
    answer = await agent.ask("GET", f"/v1/agent/metrics{query}", headers={"Accept": accept})
    assert (answer.headers["content-type"] == PROMETHEUS) is prometheus


async def test_a22_prometheus_is_off_without_a_retention_time(agent):
    answer = await agent.ask("GET", "/v1/agent/metrics?format=prometheus")
    reason = "Prometheus is not enabled since its retention time is not positive"
    assert (answer.status, answer.body, answer.headers["x-consul-reason"]) == (200, b"", reason)


async def test_a23_each_interval_is_a_line(agent):
    metrics = agent.agent.metrics
    metrics.tick(agent.clock.now())
    stream = (await agent.ask("GET", "/v1/agent/metrics/stream")).stream
    chunks = stream.chunks
    first = asyncio.ensure_future(anext(chunks))
    await agent.clock.advance(10)
    metrics.tick(agent.clock.now())
    line = await first
    assert line.endswith(b"\n")
    assert "Gauges" in json.loads(line)
    for _ in range(20):  # a reader that does not read keeps the newest
        await agent.clock.advance(10)
        metrics.tick(agent.clock.now())
    assert json.loads(await anext(chunks))["Timestamp"] > json.loads(line)["Timestamp"]
    await chunks.aclose()


async def test_a24_lines_come_as_they_are_logged(agent):
    logger = logging.getLogger("agent.test-monitor")
    agent.agent.logs.attach(logger)
    stream = (await agent.ask("GET", "/v1/agent/monitor?loglevel=debug&logjson=true")).stream
    first = asyncio.ensure_future(anext(stream.chunks))
    await asyncio.sleep(0)
    logger.debug("hello")
    assert json.loads(await first)["@message"] == "hello"
    await stream.chunks.aclose()
    agent.agent.logs.detach()


async def test_a24_an_unknown_level_is_refused(agent):
    answer = await agent.ask("GET", "/v1/agent/monitor?loglevel=zz&logjson=zz")
    assert (answer.status, answer.text) == (400, "Unknown log level: zz")
