"""Filters of taps, and their bounded queue."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.connect.proxy.telemetry.record import Record
from meshagent.connect.proxy.telemetry.taps import QUEUED, Tap
from meshagent.errors import RemoteProtocolError


def record(**more: Any) -> Record:
    given: dict[str, Any] = {"status": 200, "method": "GET", "path": "/shop/1"}
    return Record("inbound", "web", "api", "", 0.0, 0.0, **{**given, **more})


@pytest.mark.parametrize(
    ("filters", "passes"),
    [
        ({}, True),
        ({"path": "/shop"}, True),
        ({"path": "/other"}, False),
        ({"path": "/*/1"}, True),
        ({"method": "get", "source": "w*", "destination": "api"}, True),
        ({"method": "POST"}, False),
        ({"direction": "outbound"}, False),
        ({"status": "2xx"}, True),
        ({"status": "200"}, True),
        ({"status": ">=200"}, True),
        ({"status": "error"}, False),
        ({"status": "404"}, False),
    ],
)
def test_filters(filters: dict[str, str], passes: bool) -> None:
    woken: list[int] = []
    tap = Tap(filters, lambda: woken.append(1))
    tap.offer(record())
    assert bool(tap.queue) is bool(woken) is passes


def test_errors_are_fives_and_no_answer() -> None:
    tap = Tap({"status": "error"})
    for status in (0, 200, 404, 500, 503):
        tap.offer(record(status=status))
    assert [one.status for one in tap.queue] == [0, 500, 503]


def test_who_does_not_read_loses_the_oldest() -> None:
    tap = Tap({})
    for at in range(QUEUED + 5):
        tap.offer(record(bytes_in=at))
    assert (len(tap.queue), tap.queue[0].bytes_in, tap.dropped) == (QUEUED, 5, 5)


@given(st.text(max_size=6))
def test_a_status_is_read_or_refused(text: str) -> None:
    try:
        Tap({"status": text}).offer(record())
    except RemoteProtocolError as error:
        assert "status" in str(error)


def test_an_unknown_filter_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="no such filter"):
        Tap({"nope": "1"})
