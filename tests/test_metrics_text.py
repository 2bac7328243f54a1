"""The Prometheus text of single metrics."""

from __future__ import annotations

import math
import re

from hypothesis import given
from hypothesis import strategies as st

from meshagent.metrics_text import empty_family, line, mangle, shown_number, summary_lines


@given(st.text(max_size=30), st.floats())
def test_any_label_is_read_back(text: str, value: float) -> None:
    found = re.fullmatch(r'a_b\{key="((?:[^"\\\n]|\\["\\n])*)"\} (\S+)', line("a_b", (("key", text),), value))
    assert found
    assert re.sub(r"\\(.)", lambda escape: {"n": "\n"}.get(escape[1], escape[1]), found[1]) == text
    assert float(found[2]) == value or math.isnan(value)


def test_a_summary_has_quantiles_sum_and_count() -> None:
    assert summary_lines("consul.kvs.apply", (("a", "b"),), [(0.5, 1.5)], 3.0, 2) == [
        'consul_kvs_apply{a="b",quantile="0.5"} 1.5',
        'consul_kvs_apply_sum{a="b"} 3',
        'consul_kvs_apply_count{a="b"} 2',
    ]


def test_what_never_happened_is_shown_all_the_same() -> None:
    assert empty_family("x", "counter") == ["x 0"]
    assert empty_family("x", "summary")[0] == 'x{quantile="0.5"} NaN'


def test_names_and_numbers_are_as_go_writes_them() -> None:
    assert mangle("consul.my-host.a/b=c d") == "consul_my_host_a_b_c_d"
    assert [shown_number(v) for v in (1.0, 1.5, math.inf, 2.0**60)] == [1, 1.5, math.inf, 2.0**60]
