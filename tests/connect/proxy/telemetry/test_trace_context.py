"""W3C and B3: what is read, what is written."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshagent.connect.proxy.telemetry.trace_context import Headers, TraceContext, begun, child, read, written

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
RNG = random.Random(1)


def header(name: str, value: str) -> Headers:
    return [(name.encode(), value.encode())]


def b3(**more: str) -> Headers:
    return [(f"x-b3-{name}".encode(), value.encode()) for name, value in more.items()]


@pytest.mark.parametrize(
    ("headers", "sampled", "form"),
    [
        (header("traceparent", f"00-{TRACE}-{SPAN}-01"), True, ""),
        (header("traceparent", f"00-{TRACE}-{SPAN}-00"), False, ""),
        (header("traceparent", f"cc-{TRACE}-{SPAN}-01-what-comes-later"), True, ""),
        (header("b3", f"{TRACE}-{SPAN}-1"), True, "single"),
        (header("b3", f"{TRACE}-{SPAN}-0-{SPAN}"), False, "single"),
        (header("b3", f"{TRACE}-{SPAN}-d"), True, "single"),
        (header("b3", f"{TRACE}-{SPAN}"), None, "single"),
        (b3(traceid=TRACE, spanid=SPAN, sampled="1"), True, "multi"),
        (b3(traceid=TRACE, spanid=SPAN, flags="1"), True, "multi"),
        (b3(traceid=TRACE.upper(), spanid=SPAN), None, "multi"),
        (header("traceparent", "broken") + header("b3", f"{TRACE}-{SPAN}-1"), True, "single"),
    ],
)
def test_what_a_caller_says(headers: Headers, sampled: bool | None, form: str) -> None:
    assert read(headers) == TraceContext(TRACE, SPAN, "", sampled, form)


def test_64_bits_become_128() -> None:
    found = read(header("b3", f"{TRACE[16:]}-{SPAN}-1"))
    assert found is not None
    assert found.trace_id == "0" * 16 + TRACE[16:]


@pytest.mark.parametrize(
    "headers",
    [
        [],
        header("traceparent", f"ff-{TRACE}-{SPAN}-01"),
        header("traceparent", f"00-{TRACE}-{SPAN}-01-more"),
        header("traceparent", f"00-{TRACE.upper()}-{SPAN}-01"),
        header("traceparent", f"00-{'0' * 32}-{SPAN}-01"),
        header("traceparent", f"00-{TRACE}-{'0' * 16}-01"),
        header("b3", "0"),
        header("b3", f"{TRACE}-{SPAN}-2"),
        b3(traceid=TRACE),
    ],
)
def test_what_breaks_the_rules_is_absent(headers: Headers) -> None:
    assert read(headers) is None


def test_the_next_hop_has_this_span_as_its_parent() -> None:
    before = read(header("traceparent", f"00-{TRACE}-{SPAN}-01"))
    assert before is not None
    here = child(before, RNG, sampled=False)
    assert (here.trace_id, here.parent_id, here.sampled) == (TRACE, SPAN, True)
    out = written(here, [(b"traceparent", b"old"), (b"tracestate", b"x=1"), (b"a", b"b")])
    assert out == [(b"tracestate", b"x=1"), (b"a", b"b"), (b"traceparent", f"00-{TRACE}-{here.span_id}-01".encode())]


def test_who_speaks_b3_is_answered_so_too() -> None:
    for headers, names in (
        (header("b3", f"{TRACE}-{SPAN}"), {b"traceparent", b"b3"}),
        (
            b3(traceid=TRACE, spanid=SPAN),
            {b"traceparent", b"x-b3-traceid", b"x-b3-spanid", b"x-b3-sampled", b"x-b3-parentspanid"},
        ),
    ):
        before = read(headers)
        assert before is not None
        here = child(before, RNG, sampled=True)
        out = written(here, headers)
        assert {name for name, _ in out} == names
        without = [one for one in out if one[0] != b"traceparent"]
        assert read(without) == TraceContext(TRACE, here.span_id, "", True, before.b3)


def test_a_trace_of_ones_own() -> None:
    one = begun(RNG, False)
    assert read(written(one, [])) == TraceContext(one.trace_id, one.span_id, "", False, "")


@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"traceparent", b"b3", b"x-b3-traceid", b"x-b3-spanid", b"x-b3-sampled"]),
            st.binary(max_size=80),
        )
    )
)
def test_any_headers_are_read(headers: Headers) -> None:
    found = read(headers)
    assert found is None or len(found.trace_id) == 32
