"""Spans of time as protocol buffers write them."""

from __future__ import annotations

import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st

from meshagent.connect.envoy import durations


@given(st.integers(-(10**17), 10**17))
def test_protobuf_reads_the_same(nanoseconds: int) -> None:
    read = Duration()
    read.FromJsonString(durations.of_nanoseconds(nanoseconds))
    assert read.ToNanoseconds() == nanoseconds


def test_other_units() -> None:
    assert durations.of_milliseconds(1500) == "1.5s"
    assert durations.of_seconds(0.25) == "0.25s"
    assert durations.of_text("1m30s") == "90s"
    with pytest.raises(ValueError, match="missing unit"):
        durations.of_text("10")
