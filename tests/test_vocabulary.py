"""The shared vocabulary: durations, ids, clocks, errors."""

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent import errors
from meshagent.clock import Tasks, VirtualClock
from meshagent.durations import MAX_NS, format_duration, parse_duration
from meshagent.ids import is_uuid, new_uuid


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("0", 0),
        ("10s", 10_000_000_000),
        ("1h15m30.918s", 4_530_918_000_000),
        ("-1.5h", -5_400_000_000_000),
        ("+300ms", 300_000_000),
        ("1us", 1_000),
        ("1µs", 1_000),
        (".5s", 500_000_000),
        ("1.s", 1_000_000_000),
    ],
)
def test_go_durations(text, ns):
    assert parse_duration(text) == ns


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10", 'time: missing unit in duration "10"'),
        ("1x", 'time: unknown unit "x" in duration "1x"'),
        ("zz", 'time: invalid duration "zz"'),
        ("", 'time: invalid duration ""'),
        (".s", 'time: invalid duration ".s"'),
        ("9999999999h", 'time: invalid duration "9999999999h"'),
    ],
)
def test_bad_durations_say_why_in_gos_words(text, message):
    with pytest.raises(ValueError) as caught:
        parse_duration(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1_500, "1.5µs"),
        (250_000_000, "250ms"),
        (90_000_000_000, "1m30s"),
        (3_600_000_000_000, "1h0m0s"),
    ],
)
def test_durations_print_as_go_does(ns, text):
    assert format_duration(ns) == text


@given(st.integers(-MAX_NS, MAX_NS))
def test_durations_survive_being_printed(ns):
    assert parse_duration(format_duration(ns)) == ns


@given(st.text(max_size=12))
def test_any_text_is_a_duration_or_a_value_error(text):
    try:
        parse_duration(text)
    except ValueError:
        pass


def test_ids_from_one_seed_are_the_same():
    assert new_uuid(random.Random(1)) == new_uuid(random.Random(1))
    assert is_uuid(new_uuid())
    assert not is_uuid("x")
    assert not is_uuid(new_uuid() + "\n")


async def test_the_virtual_clock_wakes_sleepers_in_order():
    clock = VirtualClock()
    woken: list[float] = []

    async def sleeper(delay: float) -> None:
        await clock.sleep(delay)
        woken.append(clock.monotonic())

    tasks = Tasks()
    for delay in (3, 1, 2):
        tasks.start(sleeper(delay), name=f"sleep {delay}")
    await clock.advance(2.5)
    assert woken == [1, 2]
    await clock.advance(1)
    assert woken == [1, 2, 3]


async def test_a_failing_background_task_is_reported(caplog):
    async def fail() -> None:
        raise RuntimeError("boom")

    tasks = Tasks()
    tasks.start(fail(), name="doomed")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert "background task doomed failed" in caplog.text


def test_every_error_has_a_place_on_every_wire():
    for name in errors.__all__:
        kind = getattr(errors, name)
        assert 400 <= kind.http_status < 600
        assert 0 < kind.dns_rcode < 16
        assert 0 < kind.grpc_code < 17
    assert errors.ConfigError(["a", "b"]).problems == ["a", "b"]
