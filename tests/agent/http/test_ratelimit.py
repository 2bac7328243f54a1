from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import pytest
from meshtest.httpapi import Api

from meshagent.agent.http.ratelimit import RateLimits, RateSettings, TooManyReads, TooManyWrites
from meshagent.agent.http.settings import HttpSettings

MakeApi = Callable[..., Awaitable[Api]]


@pytest.mark.parametrize(
    ("settings", "active"),
    [
        (RateSettings(), False),
        (RateSettings("enforcing"), False),
        (RateSettings("disabled", 5, 5), False),
        (RateSettings("enforcing", 5, -1), True),
        (RateSettings("permissive", -1, 0), True),
    ],
)
def test_c27_active(settings: RateSettings, active: bool) -> None:
    assert RateLimits(settings, 0.0).active is active


def test_c27_permissive_only_logs(caplog: pytest.LogCaptureFixture) -> None:
    limits = RateLimits(RateSettings("permissive", 0, 0), 0.0)
    with caplog.at_level(logging.WARNING):
        limits.check_read(0.0)
        limits.check_write(0.0, leader=True)
    assert [record.getMessage() for record in caplog.records] == [
        "rate limit exceeded: type=read enforced=false",
        "rate limit exceeded: type=write enforced=false",
    ]


def test_c27_a_write_elsewhere_may_go_to_another_server() -> None:
    limits = RateLimits(RateSettings("enforcing", 0, 0), 0.0)
    with pytest.raises(TooManyWrites):
        limits.check_write(0.0, leader=True)
    with pytest.raises(TooManyReads):
        limits.check_write(0.0, leader=False)


async def test_c27_enforced_on_both_ways(make_api: MakeApi) -> None:
    api = await make_api(HttpSettings(rates=RateSettings("enforcing", 2, 1)))
    wire = await api.connect()
    reads = [await wire.ask("GET", "/v1/kv/?keys") for _ in range(4)]
    assert [answer.status for answer in reads] == [200, 200, 429, 429]
    assert reads[2].text == "rate limit exceeded, try again later or against a different server"
    writes = [await wire.ask("PUT", "/v1/kv/a", b"1") for _ in range(2)]
    assert [answer.status for answer in writes] == [200, 503]
    assert writes[1].text.startswith("rate limit exceeded for operation that can only be performed by the leader")
    assert (await wire.ask("GET", "/v1/status/leader")).status == 200
