"""Sinks of metrics on loopback; the whole way is in tests/e2e/test_files.py."""

from __future__ import annotations

import asyncio
import socket
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from meshagent.agent.config import load
from meshagent.agent.metric_sinks import send_metrics
from meshagent.clock import Tasks
from meshagent.errors import ConfigError
from meshagent.metrics import Metrics

START = datetime(2024, 1, 1, 0, 0, 3, tzinfo=UTC)


def config(telemetry: str) -> Any:
    return load(hcl=[f"telemetry {{ {telemetry} disable_hostname = true }}"], dev=True).config


async def interval(metrics: Metrics, number: int) -> None:
    metrics.incr("rpc.request", 2)
    metrics.tick(START + timedelta(seconds=10 * number))
    await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})


async def test_datagrams_and_a_stream_carry_the_same_lines() -> None:  # G27
    metrics, tasks = Metrics(), Tasks()
    metrics.tick(START)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as statsd,
        socket.create_server(("127.0.0.1", 0)) as statsite,
    ):
        statsd.bind(("127.0.0.1", 0))
        ports = SimpleNamespace(udp=statsd.getsockname()[1], tcp=statsite.getsockname()[1])
        telemetry = f'statsd_address = "127.0.0.1:{ports.udp}" statsite_address = "localhost:{ports.tcp}"'
        await send_metrics(config(telemetry), metrics, tasks)
        await interval(metrics, 1)
        assert statsd.recv(1500) == b"consul.rpc.request:2|c"
        stream, _ = statsite.accept()
        with stream:
            assert stream.recv(1500) == b"consul.rpc.request:2|c\n"
    await tasks.cancel()


async def test_a_server_that_is_away_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:  # G27
    caplog.set_level("INFO")
    metrics, tasks = Metrics(), Tasks()
    metrics.tick(START)
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    await send_metrics(config(f'statsite_address = "127.0.0.1:{port}"'), metrics, tasks)
    await interval(metrics, 1)
    with socket.create_server(("127.0.0.1", port)) as back:
        await interval(metrics, 2)
        stream, _ = back.accept()
        with stream:
            assert stream.recv(1500) == b"consul.rpc.request:2|c\n"
    told = [record.getMessage() for record in caplog.records]
    assert sum("cannot be sent" in line for line in told) == 1
    assert sum("are sent again" in line for line in told) == 1
    await tasks.cancel()


@pytest.mark.parametrize(
    ("telemetry", "message"),
    [
        ('statsd_address = "here"', "telemetry.statsd_address: 'here' is no host:port"),
        ('dogstatsd_addr = "h:70000"', "telemetry.dogstatsd_addr: 'h:70000' is no host:port"),
        (
            'retry_failed_connection = false dogstatsd_addr = "unix:///no/such/socket"',
            "telemetry.dogstatsd_addr: cannot reach unix:///no/such/socket",
        ),
    ],
)
async def test_an_address_that_is_none_is_refused(telemetry: str, message: str) -> None:  # G27
    with pytest.raises(ConfigError, match=message):
        await send_metrics(config(telemetry), Metrics(), Tasks())
