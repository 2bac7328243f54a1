"""Faults and mirrors in Envoy's words."""

from __future__ import annotations

from meshagent.connect.envoy import faults, wire
from meshagent.connect.l7 import FaultSettings


def test_all_of_a_fault() -> None:
    made = faults.fault(FaultSettings(0.25, 12.5, 503, 100.0, "x-try", "yes"))
    assert made == {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
        "delay": {"fixed_delay": "0.25s", "percentage": {"numerator": 125_000, "denominator": "MILLION"}},
        "abort": {"http_status": 503, "percentage": {"numerator": 100, "denominator": "HUNDRED"}},
        "headers": [{"name": "x-try", "string_match": {"exact": "yes"}}],
    }
    assert wire.encode(made)


def test_a_header_without_a_value_is_enough() -> None:
    assert faults.fault(FaultSettings(abort_status=500, header="x-try"))["headers"] == [
        {"name": "x-try", "present_match": True}
    ]


def test_the_filter_leaves_it_to_routes() -> None:
    assert list(faults.FILTER["typed_config"]) == ["@type"]
    assert faults.FILTER["name"] == faults.NAME
