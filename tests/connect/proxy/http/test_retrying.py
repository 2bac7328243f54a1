"""Conditions of retries, and the pause between tries."""

from __future__ import annotations

import random

import pytest

from meshagent.connect.proxy.http.policy import RetryPolicy
from meshagent.connect.proxy.http.retrying import back_off, retry_reset, retry_status
from meshagent.connect.proxy.http.streams import Reset


@pytest.mark.parametrize(
    ("condition", "status", "expected"),
    [
        ("5xx", 500, True),
        ("5xx", 404, False),
        ("gateway-error", 503, True),
        ("gateway-error", 500, False),
        ("retriable-4xx", 409, True),
        ("retriable-4xx", 404, False),
        ("connect-failure", 503, False),
    ],
)
def test_statuses(condition: str, status: int, expected: bool) -> None:
    assert retry_status(RetryPolicy(conditions=frozenset({condition})), status, []) is expected


def test_codes_and_grpc() -> None:
    assert retry_status(RetryPolicy(statuses=frozenset({418})), 418, [])
    policy = RetryPolicy(conditions=frozenset({"unavailable"}))
    assert retry_status(policy, 200, [(b"grpc-status", b"14")])
    assert not retry_status(policy, 200, [(b"grpc-status", b"4")])
    limited = RetryPolicy(conditions=frozenset({"envoy-ratelimited"}))
    assert retry_status(limited, 429, [(b"x-envoy-ratelimited", b"true")])
    assert not retry_status(limited, 429, [])


@pytest.mark.parametrize(
    ("condition", "why", "expected"),
    [
        ("connect-failure", Reset.CONNECT_FAILURE, True),
        ("connect-failure", Reset.CONNECTION_LOST, False),
        ("reset", Reset.CONNECTION_LOST, True),
        ("refused-stream", Reset.REFUSED, True),
        ("refused-stream", Reset.REMOTE, False),
        ("5xx", Reset.REMOTE, True),
        ("5xx", Reset.OVERFLOW, False),
        ("retriable-4xx", Reset.REMOTE, False),
    ],
)
def test_resets(condition: str, why: Reset, expected: bool) -> None:
    assert retry_reset(RetryPolicy(conditions=frozenset({condition})), why) is expected


def test_pauses_grow_to_a_bound() -> None:
    policy = RetryPolicy()
    rng = random.Random(1)
    longest = [max(back_off(policy, retry, rng) for _ in range(500)) for retry in (1, 2, 8)]
    assert longest[0] <= 0.025 < longest[1] <= 0.075 < longest[2] <= 0.25
