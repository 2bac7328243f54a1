"""Lines of statsd and DogStatsD from one interval."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from meshagent.agent.statsd import lines, packets
from meshagent.metrics import Interval

INTERVAL = Interval(
    gauges=[("consul.n1.state.nodes", (("datacenter", "dc1"),), 3.0), ("consul.n1.drift", (), -1.5)],
    counters=[("consul.rpc.request", (), 7.0)],
    samples=[("consul.kvs.apply", (("method", "GET x|y"),), [1.0, 0.25], 8)],
)


def test_statsd_puts_labels_into_the_name() -> None:  # G27
    assert list(lines(INTERVAL)) == [
        "consul.n1.state.nodes.dc1:3|g",
        "consul.n1.drift:0|g",
        "consul.n1.drift:-1.5|g",
        "consul.rpc.request:7|c",
        "consul.kvs.apply.GET_x_y:1|ms|@0.25",
        "consul.kvs.apply.GET_x_y:0.25|ms|@0.25",
    ]


def test_dogstatsd_has_tags() -> None:  # G27
    assert list(lines(INTERVAL, tagged=True, tags=("env:test",))) == [
        "consul.n1.state.nodes:3|g|#env:test,datacenter:dc1",
        "consul.n1.drift:-1.5|g|#env:test",
        "consul.rpc.request:7|c|#env:test",
        "consul.kvs.apply:1|ms|@0.25|#env:test,method:GET_x_y",
        "consul.kvs.apply:0.25|ms|@0.25|#env:test,method:GET_x_y",
    ]


@given(st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_no_name_or_label_breaks_a_line(name: str, label: str, text: str) -> None:
    (line,) = lines(Interval([], [(name, ((label, text),), 1.0)], []), tagged=True)
    assert re.fullmatch(r"[^:|@#,\s]*:1\|c\|#[^:|@#,\s]*:[^:|@#,\s]*", line)


@given(st.lists(st.text("ab", min_size=1, max_size=40), max_size=30), st.integers(10, 60))
def test_packets_hold_all_lines_in_order_and_are_small(given_lines: list[str], limit: int) -> None:
    found = list(packets(given_lines, limit))
    assert b"\n".join(found).decode().split("\n") == (given_lines or [""])
    assert all(len(packet) <= limit or b"\n" not in packet for packet in found)
